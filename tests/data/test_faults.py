"""kill -9 in the middle of a backup or a restore, with a real restic on this computer: nothing is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from coursehub_backup import everything, report, restoring, saving, state
from coursehub_backup.config import Config
from coursehub_backup.restic import Restic

from tests.support.backups import NOBODY, fill, here, manifest, root
from tests.support.whole_server import OLD, server

__all__ = ["here", "root", "server"]

pytestmark = [pytest.mark.unit, pytest.mark.timeout(1800)]

SEEDS = (1, 2, 3)
KILLS = 10


def killed(after: float, work: Callable[[], bool], *, only_restic: bool) -> bool:
    """Do the work in a process of its own, and kill it after so many seconds. Returns whether it was in time.

    Either all dies, as when a unit or the machine is killed, or the restic that runs then.
    """
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as silent:
            os.dup2(silent.fileno(), 1)
            os.dup2(silent.fileno(), 2)
        good = False
        try:
            good = work()
        finally:
            os._exit(0 if good else 1)
    time.sleep(after)
    hit, dead = False, []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(child)
        below = family.children(recursive=True)
        for process in [one for one in below if one.name() == "restic"] if only_restic else [family, *below]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
                hit = True
                dead += [process] * (process != family)
    failed = os.waitpid(child, 0)[1] != 0
    # Until this computer's init has noticed, the lock of a dead restic counts as that of a process that lives.
    psutil.wait_procs(dead, timeout=30)
    return failed and hit


def new_work(home: Path, name: str, megabytes: int = 3) -> None:
    """Something that was not in the last backup."""
    path = home / name
    path.write_bytes(os.urandom(megabytes << 20))
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)


def backup(config: Config, restic: Restic) -> bool:
    """A backup that also deletes old snapshots and reads back a part, as once a day and once a week."""
    state.note("volume", pruned=0, checked=0)
    return saving.save(config, restic, None)


def newest(restic: Restic, home: Path, into: Path) -> dict[bytes, tuple[object, ...]]:
    """What the newest backup has of the home."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    return manifest(restoring.fetch(restic, restoring.snapshots(restic)[0].snapshot, home, into))


@pytest.mark.parametrize("seed", SEEDS)
def test_backup_killed_at_ten_points_loses_nothing(seed: int, here: tuple[Config, Restic], root: Path) -> None:
    """After each death the last backup can be read, and after all of them the next run is good."""
    config, restic = here
    chance = random.Random(seed)
    home = root / "home/nobody"
    assert backup(config, restic)
    new_work(home, "work-0")
    began = time.monotonic()
    assert backup(config, restic)
    longest = time.monotonic() - began
    print(f"seed {seed}; a backup takes {longest:.1f} s")
    kept = manifest(home)
    hits = 0
    for number in range(1, KILLS + 1):
        new_work(home, f"work-{number}")
        after = chance.uniform(0.05, longest)
        hit = killed(after, lambda: backup(config, restic), only_restic=bool(number % 2))
        hits += hit
        longest = longest if hit else min(longest, after)
        found = newest(restic, home, root / "out")
        assert kept.items() <= found.items(), f"seed {seed}, {number}: {kept.keys() - found.keys()}"
        print(f"{number}: {'restic' if number % 2 else 'all'} after {after:.1f} s: {'killed' if hit else 'was over'}")
    assert hits >= KILLS // 2, f"seed {seed}: only {hits} of {KILLS} were killed"
    assert backup(config, restic), state.read()
    assert newest(restic, home, root / "out") == manifest(home)
    # Needs the repository alone: the locks of the dead must not hold it up.
    restic.run("check", "--read-data")


@pytest.mark.parametrize("seed", SEEDS)
def test_restore_killed_at_ten_points_goes_on(seed: int, server: tuple[Config, Restic], root: Path) -> None:
    """Until a home is back as a whole it is as it was: empty."""
    config, restic = server
    chance = random.Random(seed)
    home, team = config.homes / "nobody", root / "class/groups/red"
    fill(home)
    new_work(home, "work", 40)
    subprocess.run(["chown", "-hR", f"{NOBODY.pw_uid}:{NOBODY.pw_gid}", str(home)], check=True)
    assert saving.save(dataclasses.replace(config, server=OLD), restic, None)
    restic.run("restore", "latest", "--target", str(root / "as-it-was"))
    before = moved(manifest(root / "as-it-was" / str(home)[1:]))

    def emptied() -> None:
        for directory in (home, team):
            shutil.rmtree(directory)
            directory.mkdir(mode=0o700)
        report.RECORD.unlink(missing_ok=True)

    emptied()
    began = time.monotonic()
    assert everything.run(config, [restic], None)
    longest = time.monotonic() - began
    print(f"seed {seed}; a restore takes {longest:.1f} s")
    emptied()
    hits, whole = 0, 0
    for number in range(1, KILLS + 1):
        after = chance.uniform(0.05, longest)
        hit = killed(after, lambda: everything.run(config, [restic], None), only_restic=bool(number % 2))
        hits += hit
        longest = longest if hit else min(longest, after)
        found = moved(manifest(home))
        assert found in ({}, before), f"seed {seed}, {number}"
        whole += found == before
        print(f"{number}: {'restic' if number % 2 else 'all'} after {after:.1f} s: {'killed' if hit else 'was over'}")
        if found:
            # The rest goes on, and the next death meets an empty home again.
            assert everything.run(config, [restic], None), state.read(report.RECORD)
            assert moved(manifest(home)) == before
            emptied()
    assert hits >= KILLS // 2, f"seed {seed}: only {hits} of {KILLS} were killed"
    print(f"after {whole} of them the home was back")
    assert everything.run(config, [restic], None), state.read(report.RECORD)
    assert moved(manifest(home)) == before
    assert not list(root.rglob(".restoring*"))
    restic.run("check", "--read-data")


def moved(found: dict[bytes, tuple[object, ...]]) -> dict[bytes, tuple[object, ...]]:
    """A manifest without owners, which have other numbers on a new server."""
    return {name: (*facts[:2], *facts[4:]) for name, facts in found.items()}
