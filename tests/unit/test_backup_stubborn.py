"""Backups and restores that somebody holds up, or whose repository is damaged; with a real restic and real programs."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import bounded, choosing, damage, everything, excess, main, restoring, saving, state
from coursehub_backup.config import Config, Target
from coursehub_backup.restic import Restic
from coursehub_backup.restoring import RestoreError

from tests.support.backups import NOBODY, here, restic_program, root
from tests.support.whole_server import results, server

__all__ = ["here", "root", "server"]
pytestmark = pytest.mark.unit


@pytest.mark.timeout(60)
def test_stopped_tar_ends_the_restore(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student stops the program that runs with their rights, as soon as it runs."""
    home, lab = root / "nobody", root / "lab"
    home.mkdir()
    shutil.chown(home, "nobody", NOBODY.pw_gid)
    lab.write_text("lab")
    monkeypatch.setattr(bounded, "STOPPED", 1.0)
    real, stopped = bounded._wait, []

    def wait(process: subprocess.Popen[bytes], seconds: float) -> None:
        os.kill(process.pid, signal.SIGSTOP)
        stopped.append(process.pid)
        real(process, seconds)

    with monkeypatch.context() as during:
        during.setattr(bounded, "_wait", wait)
        with pytest.raises(RestoreError, match="writing into nobody's home failed: somebody stopped the program"):
            restoring.hand_over(lab, "nobody", home)
        with pytest.raises(RestoreError, match=r"removing 'x .unfinished.' in nobody's home failed: somebody"):
            restoring.hand_over_as(lab, "nobody", home, "x")
    assert not [pid for pid in stopped if Path(f"/proc/{pid}").exists()], "the stopped programs are gone"
    restoring.hand_over(lab, "nobody", home)
    assert (home / "lab").read_text() == "lab"


def test_program_that_runs_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(bounded.Ended, match="more than 1 s"):
        bounded.run("nobody", ["/bin/sh", "-c", "sleep 60 & wait"], seconds=1)
    assert time.monotonic() - began < 10


def test_program_that_ends_says_what_it_said() -> None:
    assert bounded.run("nobody", ["/bin/sh", "-c", "echo why >&2; exit 3"]) == (3, "why\n")


def test_time_for_a_directory_grows_with_it(tmp_path: Path) -> None:
    assert bounded.seconds_for(tmp_path) == pytest.approx(bounded.LEAST, abs=1)
    (tmp_path / "big").write_bytes(os.urandom(8 << 20))
    assert bounded.seconds_for(tmp_path) == pytest.approx(bounded.LEAST + 8, abs=1)


@pytest.mark.timeout(120)
def test_holes_made_during_a_backup_end_it(here: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch) -> None:
    """The look before the backup finds nothing; then a student makes files that restic would read for hours."""
    config, restic = here
    mallory = config.homes / "mallory"
    mallory.mkdir()
    monkeypatch.setattr(saving, "LOOK_EVERY", 0.5)
    real, looks = excess.is_too_much, []

    def look(path: Path, largest: int) -> bool:
        found = real(path, largest)
        if path == mallory:
            looks.append(found)
            if len(looks) == 1:
                for number in range(40):
                    with (mallory / f"{number}").open("wb") as file:
                        file.truncate(19 << 30)
        return found

    monkeypatch.setattr(excess, "is_too_much", look)
    began = time.monotonic()
    assert saving.save(config, restic, None)
    assert looks[:2] == [False, True]
    assert time.monotonic() - began < 60
    known = state.read()["targets"]["volume"]
    assert known["left_out"] == ["mallory"]
    assert restoring.listing(restic, config.homes / "nobody/labs/lab.ipynb")
    assert not restoring.listing(restic, mallory)
    restic.run("check")


def spoil(repository: Path) -> Callable[[], None]:
    """Flip one byte in the biggest file of a repository; returns what mends it."""
    pack = max(repository.glob("data/*/*"), key=lambda one: one.stat().st_size)
    content = pack.read_bytes()
    bad = bytearray(content)
    bad[len(bad) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(bad)

    def mend() -> None:
        pack.write_bytes(content)

    return mend


def test_damaged_file_is_left_out_and_comes_later(server: tuple[Config, Restic], root: Path) -> None:
    """restic leaves zeros in its place. It must not count as the student's file, and a second run brings it."""
    config, restic = server
    labs = config.homes / "nobody/labs"
    big, odd = os.urandom(5 << 20), os.urandom(5 << 20)
    labs.mkdir(parents=True, exist_ok=True)
    (labs / "big").write_bytes(big)
    (labs / os.fsdecode(b"odd \xff")).write_bytes(odd)
    (labs / "small").write_text("s")
    old = dataclasses.replace(config, server="b" * 32)
    subprocess.run(["chown", "-hR", f"{NOBODY.pw_uid}:{NOBODY.pw_gid}", str(config.homes / "nobody")], check=True)
    assert saving.save(old, restic, None)
    shutil.rmtree(config.homes / "nobody")
    (config.homes / "nobody").mkdir(mode=0o700)
    mend = spoil(root / "repository")
    assert not everything.run(config, [restic], None)
    assert results()["home nobody"] == "partly"
    whole = {os.fsdecode(b"odd \xff"): odd, "big": big, "small": b"s"}
    there = {path.name: path.read_bytes() for path in labs.iterdir()}
    assert there.items() < whole.items(), "what is there is whole"
    assert not everything.run(config, [restic], None), "the repository is still damaged"
    mend()
    # Made meanwhile on the new server; it stays.
    (labs / "small").write_text("mine")
    # The rights of a number that this computer has.
    subprocess.run(["chown", "-hR", "nobody", str(config.homes / "nobody")], check=True)
    assert everything.run(config, [restic], None)
    assert {path.name: path.read_bytes() for path in labs.iterdir()} == {**whole, "small": b"mine"}
    assert results()["home nobody"] == "restored"


def test_error_about_rights_removes_no_file(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("whole")
    line = b'{"message_type":"error","error":{"message":"lchown /lab: operation not permitted"},"item":"/lab"}'
    (error,) = damage.errors(line + b"\nno JSON\n{half")
    damage.remove(error, tmp_path)
    assert (tmp_path / "lab").exists()
    for path in ("../lab", "/x/../lab", "/nowhere/lab"):
        damage.remove(damage.Error("decrypting blob failed", path), tmp_path / "x")
    assert (tmp_path / "lab").exists()
    damage.remove(damage.Error("decrypting blob failed", "/lab"), tmp_path)
    assert not (tmp_path / "lab").exists()


def test_damage_below_a_folder_of_any_bytes_is_removed(tmp_path: Path) -> None:
    """restic writes the bytes of its name as question marks. A link of a like name leads to nobody else's file."""
    folder, name = os.fsdecode(b"\xe2\x82 \xff"), os.fsdecode(b"lab \xfe")
    into, other = tmp_path / "into", tmp_path / "other"
    for path in (into / folder / "deep", into / "\ufffd", other / "deep"):
        path.mkdir(parents=True)
    (into / os.fsdecode(b"\xe2\x83 \xfe")).symlink_to(other)
    for path in (into / folder / "deep" / name, into / "\ufffd" / "whole", other / "deep" / name):
        path.write_text("zeros")
    line = {"message_type": "error", "error": {"message": "decrypting blob failed"}}
    said = json.dumps({**line, "item": "/\ufffd\ufffd \ufffd/deep/lab \ufffd"})
    (error,) = damage.errors(said.encode())
    damage.remove(error, into)
    assert list((into / folder / "deep").iterdir()) == []
    assert (into / "\ufffd/whole").exists() and (other / "deep" / name).exists()


def test_damage_is_read_from_an_older_restics_words(tmp_path: Path) -> None:
    """They have the bytes themselves. Letters that Python takes for the end of a line are none."""
    for name in (os.fsdecode(b"lab \xff"), "lab \u0085 \u2028"):
        (tmp_path / name).write_text("zeros")
        (error,) = damage.errors(b"ignoring error for /" + os.fsencode(name) + b": decrypting blob failed\n")
        damage.remove(error, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def two(here: tuple[Config, Restic], root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Config, Restic]:
    """A new server with two targets. The old server's backup is only at the second."""
    config, restic = here
    assert saving.save(config, restic, None)
    state.write({})
    first = Target("a-new-one", str(root / "another"))
    config = dataclasses.replace(config, targets=(first, *config.targets))

    def made(target: Target, **_: Any) -> Restic:
        return Restic(target, program=restic_program(), place=root / "etc", state=root / "state", cache=root / "cache")

    monkeypatch.setattr(main, "Restic", made)
    return config, made(first)


def asked(config: Config, *words: str) -> dict[str, Any]:
    return main._bring(config, main._arguments([*words, "--user", "nobody", "--path", "labs/lab.ipynb"]))


def test_new_server_asks_every_target(two: tuple[Config, Restic]) -> None:
    config, _ = two
    assert [one["size"] for one in asked(config, "list")["versions"]] == [2]
    found = asked(config, "restore")
    assert Path(found["to"]).read_text() == "{}"


def test_version_at_both_targets_is_listed_once(two: tuple[Config, Restic]) -> None:
    config, first = two
    assert saving.save(dataclasses.replace(config, targets=(first.target,)), first, None)
    assert len(asked(config, "list")["versions"]) == 1
    assert choosing.best(config, None).name == "a-new-one"
    (config.homes / "nobody/labs/lab.ipynb").write_text("newer")
    assert saving.save(config, first, None)
    assert [one["size"] for one in asked(config, "list")["versions"]] == [5, 2]


def test_target_that_does_not_answer_stops_only_others(two: tuple[Config, Restic], root: Path) -> None:
    """A server that knows where its newest backup is asks nobody else, unless it is asked for another time."""
    config, first = two
    assert saving.save(config, first, None)
    (root / "repository/config").write_bytes(b"damaged")
    assert asked(config, "restore")["left_out"] == 0
    with pytest.raises(RestoreError, match="without it: --target a-new-one"):
        asked(config, "restore", "--at", "now")
