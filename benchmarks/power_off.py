"""How many seconds of work a power failure costs, if the server starts again afterwards.

A student saves a notebook in Lab every second. In the same home two programs write without fsync, as pandas or a
simulation does: one appends a line every half second, the other writes a whole table every second.

A power failure leaves what is in the file of the class's disk at that moment; what the machine's btrfs still has in
memory is gone. So the machine's own file system, on which that file is, is frozen: from then on no write of btrfs can
reach the file, not even by the kernel's own threads. The file is copied, and the machine goes on to the next moment.
When the machine is off, each copy is mounted as a boot would do it, and searched.

What this cannot show: a disk that loses writes which it said it had. And what btrfs had written but not flushed
counts here as written; on a real disk it may be lost. Whatever was flushed by an fsync is in both.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed import say
from benchmarks.term import notebook
from runner.agreed import PATHS
from runner.hub.client import HubClient
from runner.rehearsal.figures import summary
from tests.support.hub import Hub
from tests.support.machine import Machine

STUDENT = "abello"
#: Seconds between two saves in Lab; the programs' own are in their code. Plots in the notebook: about 0.5 MB.
RHYTHM, PLOTS = 1.0, 4
#: Seconds of work before the first moment: longer than btrfs keeps anything in memory. Then between two moments.
LEAD, GAP = 75.0, (7.0, 23.0)
#: What is looked at in each copy.
KINDS = ("saved in Lab", "appended by a program", "table of a program")
#: Seconds that a machine may take to go off, and then to let go of its disk.
LET_GO = 60
PROGRAMS = """
import os, threading, time
def append():
    while True:
        with open("log.csv", "a") as file:
            file.write(f"{time.time():.2f},ok\\n")
        time.sleep(0.5)
def rewrite():
    while True:
        with open("table.csv", "w") as file:
            file.write(f"{time.time():.2f}\\n" + "0.123456,0.234567\\n" * 5000 + "end\\n")
        time.sleep(1)
for work in (append, rewrite):
    threading.Thread(target=work, daemon=True).start()
"""


@dataclass
class Saves:
    """The saves in Lab: version, time of the request, time of the answer."""

    done: list[tuple[int, float, float]] = field(default_factory=list)

    def answered(self, moment: float) -> int:
        """The newest version that was answered before a moment; 0 if none was."""
        return max((version for version, _, answer in self.done if answer <= moment), default=0)

    def lost(self, survived: int, moment: float) -> float:
        """Seconds between the newest answer before a moment and the answer for the version that survived.

        0 if the newest survived, or one that was not answered yet.
        """
        newest = self.answered(moment)
        if survived >= newest:
            return 0.0
        answers = {version: answer for version, _, answer in self.done}
        return answers[newest] - answers.get(survived, self.done[0][1])


def last_time(text: str, *, whole: bool) -> float | None:
    """The time that a program wrote last: in the last complete line, or in the table if it is complete; else None."""
    lines = text.split("\n")
    if whole:
        return float(lines[0]) if text.endswith("end\n") else None
    times = [line.removesuffix(",ok") for line in lines if line.endswith(",ok")]
    return float(times[-1]) if times else None


def measure(hub: Hub, moments: int, options: str) -> dict[str, Any]:
    """The losses at so many moments. ``options`` are mount options to try for the class's disk."""
    if options:
        hub.run(f"mount -o remount,{options} {PATHS['class_disk']}")
    mounted = hub.run(f"findmnt -no OPTIONS {PATHS['class_disk']}").strip()
    machine = Machine.of(hub.sandbox, hub.course)
    chance, saves, stop = random.Random(), Saves(), threading.Event()
    copies: list[tuple[float, Path]] = []
    # The copies are on the same disk as the machine, which has the space: some are gigabytes.
    scratch = Path(tempfile.mkdtemp(dir=machine.home.parent.parent))
    client = hub.sandbox.client(hub.document, STUDENT)
    client.start_server()
    with client, client.kernel() as kernel:
        kernel.run(PROGRAMS)
        saver = threading.Thread(target=save, args=(client, saves, stop))
        saver.start()
        try:
            time.sleep(LEAD)
            for number in range(moments):
                need_saves(saver)
                copies.append(cut(machine, scratch / f"disk{number}.img"))
                say(f"moment {number + 1} of {moments}")
                if number < moments - 1:
                    time.sleep(chance.uniform(*GAP))
            need_saves(saver)
        finally:
            stop.set()
            saver.join()
    power_off(machine)
    found = [look(copy, moment, saves) for moment, copy in copies]
    scratch.rmdir()
    return {
        "options": mounted,
        "seconds lost": {kind: lost([one[kind] for one in found]) for kind in KINDS},
        "seconds of a save": summary(answer - sent for _, sent, answer in saves.done),
        "moments": found,
    }


def need_saves(saver: threading.Thread) -> None:
    """Without saves nothing could be lost. Raises SystemExit."""
    if not saver.is_alive():
        raise SystemExit("a save in Lab failed, so there is nothing to measure")


def lost(seconds: list[float | None]) -> dict[str, float | int]:
    """The summary of what was lost at all moments, and at how many of them no whole file was there."""
    known = [one for one in seconds if one is not None]
    return {**summary(known), "no whole file": len(seconds) - len(known)}


def save(client: HubClient, saves: Saves, stop: threading.Event) -> None:
    """Save as Lab does, until told to stop."""
    book = notebook(random.Random(1), PLOTS)
    version = 0
    while not stop.is_set():
        version += 1
        book["metadata"]["version"] = version
        sent = time.time()
        client.api("PUT", "/api/contents/work.ipynb", json={"type": "notebook", "content": book}, timeout=60)
        saves.done.append((version, sent, time.time()))
        stop.wait(max(0.0, sent + RHYTHM - time.time()))


def cut(machine: Machine, copy: Path) -> tuple[float, Path]:
    """Freeze the machine's disk, copy the file of the class's disk, and go on; the moment and the copy."""
    disk = machine.home / "disk"
    image = disk / "upper" / PATHS["class_disk_place"].lstrip("/") / "disk.img"
    moment = time.time()
    subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)
    try:
        copy_data(image, copy)
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(disk)], check=True)
    return moment, copy


def copy_data(source: Path, target: Path) -> None:
    """Copy a sparse file without its holes."""
    with source.open("rb") as old, target.open("wb") as new:
        size = source.stat().st_size
        new.truncate(size)
        at = 0
        # The seek fails behind the last data.
        with contextlib.suppress(OSError):
            while at < size:
                at = os.lseek(old.fileno(), at, os.SEEK_DATA)
                end = os.lseek(old.fileno(), at, os.SEEK_HOLE)
                while at < end:
                    piece = os.pread(old.fileno(), min(end - at, 1 << 20), at)
                    os.pwrite(new.fileno(), piece, at)
                    at += len(piece)


def power_off(machine: Machine) -> None:
    """Cut the machine's power by the cloud's API."""
    machine.droplet().power_off()
    deadline = time.monotonic() + LET_GO
    while machine.processes():
        if time.monotonic() > deadline:
            raise SystemExit("the machine could not be powered off")
        time.sleep(0.5)


@contextlib.contextmanager
def mounted_copy(copy: Path) -> Iterator[Path]:
    """The copy as a boot mounts it: btrfs replays its log. Waits until the original is not mounted any more."""
    place = copy.with_suffix(".mounted")
    place.mkdir()
    command = ["mount", "-t", "btrfs", "-o", "loop,noatime,nodiscard", str(copy), str(place)]
    deadline = time.monotonic() + LET_GO
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        if time.monotonic() > deadline:
            raise SystemExit(f"the copy cannot be mounted: {done.stderr.strip()}")
        time.sleep(1)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def look(copy: Path, moment: float, saves: Saves) -> dict[str, Any]:
    """What a copy has of the student's work, and the seconds that are lost. Deletes the copy."""
    with mounted_copy(copy) as disk:
        home = disk / "homes" / STUDENT
        version, opened = version_in(home / "work.ipynb")
        texts = {name: read(home / name) for name in ("log.csv", "table.csv")}
    copy.unlink()
    log, table = last_time(texts["log.csv"], whole=False), last_time(texts["table.csv"], whole=True)
    return {
        KINDS[0]: round(saves.lost(version, moment), 2),
        "Lab opens": opened,
        "versions not there": max(0, saves.answered(moment) - version),
        KINDS[1]: None if log is None else round(max(moment - log, 0), 1),
        KINDS[2]: None if table is None else round(max(moment - table, 0), 1),
    }


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def version_in(path: Path) -> tuple[int, str]:
    """The version of a notebook, and from which file Lab would open it: as Jupyter does, the copy that it makes before
    each save if the notebook itself is no JSON."""
    for name, words in ((path, "the notebook"), (path.with_name(f".~{path.name}"), "Jupyter's copy")):
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads(name.read_text(encoding="utf-8"))["metadata"]["version"]), words
    return 0, "nothing"
