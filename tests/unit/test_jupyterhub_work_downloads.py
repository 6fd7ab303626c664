"""Downloads from the page "Students' work", and the processes that read files with the student's rights."""

from __future__ import annotations

import contextlib
import grp
import io
import os
import re
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
import requests

from tests.support.hub_config import FILES
from tests.support.own_etc import needs_root
from tests.support.root import eventually
from tests.support.students_work import (
    Site,
    site,  # noqa: F401
)

pytestmark = [pytest.mark.unit, needs_root]


def test_a_file_comes_whole_under_its_name(site: Site) -> None:
    answer = site.get("of/ada/data.bin?do=fetch")
    assert answer.content == bytes(range(256)) * 4
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''data.bin"
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_a_folder_comes_as_an_archive_that_unpacks_below_itself(site: Site) -> None:
    answer = site.get("of/ada/work/?do=pack")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''work.zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [".._.._evil.txt", "LEFT-OUT.txt", "deep/answer.txt", "old"]
        assert archive.read("deep/answer.txt") == b"42"
        left_out = archive.read("LEFT-OUT.txt").decode().splitlines()[1:]
    assert sorted(left_out) == ["closed", "pipe", "shadow"]


def test_a_teams_directory_is_read_as_nobody_of_the_team(site: Site) -> None:
    assert "plan.txt" in site.get("team/blue/").text
    assert site.get("team/blue/plan.txt?do=show").text == "together\n"
    assert site.get("team/red/").status_code == 404


def readers_of(account: str, site: Site) -> list[str]:
    """Not `pgrep --uid`: processes that are closed to their own account belong to root in /proc."""
    passwd = (site.log.parents[1] / "etc/passwd").read_text().splitlines()
    uid = next(line.split(":")[2] for line in passwd if line.startswith(account))
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            reads = b"class_work/reader.py" in (process / "cmdline").read_bytes()
            if reads and f"Uid:\t{uid}\t" in (process / "status").read_text():
                found.append(process.name)
    return found


def test_reader_has_only_the_students_rights_and_ends(site: Site) -> None:
    """Also if the student stops it, who may do so because it is their process too."""
    eventually(lambda: not readers_of("ada", site))
    with site.get("of/ada/long.bin?do=fetch", stream=True) as answer:
        assert answer.status_code == 200
        (reader,) = eventually(lambda: readers_of("ada", site))
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{reader}/status").read_text().splitlines() if ":\t" in line
        )
        assert len(set(status["Uid"].split())) == 1 and status["Uid"].split()[0] != "0"
        assert len(set(status["Gid"].split())) == 1 and status["Gid"].split()[0] != "0"
        assert status["Groups"].strip() == ""
        assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")} == {0}
        assert status["NoNewPrivs"] == "1"
        assert b"its-own" not in Path(f"/proc/{reader}/environ").read_bytes()
        assert b"long.bin" not in Path(f"/proc/{reader}/cmdline").read_bytes()
        subprocess.run(["kill", "-STOP", reader], check=True)
        # Everything sent before is read: the test waits only for the reader.
        answer.raw.read(1 << 20)
        time.sleep(0.5)
    eventually(lambda: not readers_of("ada", site))


def test_no_program_of_its_student_looks_into_a_reader(site: Site) -> None:
    """A reader may do what a student's server may not, so access to it would be a way out."""
    eventually(lambda: not readers_of("ada", site))
    with site.get("of/ada/long.bin?do=fetch", stream=True) as answer:
        assert answer.status_code == 200
        (reader,) = eventually(lambda: readers_of("ada", site))
        status = Path(f"/proc/{reader}/status").read_text()
        uid, gid = (re.findall(rf"^{number}:\t(\d+)", status, re.MULTILINE)[0] for number in ("Uid", "Gid"))
        for secret in ("environ", "mem", "maps"):
            as_ada = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
            asked = [*as_ada, "head", "-c1", f"/proc/{reader}/{secret}"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            assert "Permission denied" in done.stderr, secret


# Tries to read the memory of each reader of its account, for some seconds and several readers; prints how many it saw
# and read.
RACE = """
import os, time
seen, into = set(), set()
begun = time.monotonic()
while time.monotonic() < begun + 6 or (len(seen) < 3 and time.monotonic() < begun + 60):
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        try:
            status = open(f"/proc/{pid}/status").read()
            reads = "class_work/reader.py" in open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if not reads or f"Uid:\\t{os.getuid()}\\t" not in status:
            continue
        seen.add(pid)
        for secret in ("mem", "environ"):
            try:
                os.close(os.open(f"/proc/{pid}/{secret}", os.O_RDONLY))
                into.add(pid)
            except OSError:
                pass
print(len(seen), len(into))
"""


def test_no_program_of_its_student_is_ever_quick_enough(site: Site) -> None:
    """From the first moment on: a program that starts as the student would be open until it protects itself (D4)."""
    eventually(lambda: not readers_of("ada", site))
    passwd = (site.log.parents[1] / "etc/passwd").read_text().splitlines()
    uid, gid = next(line.split(":")[2:4] for line in passwd if line.startswith("ada:"))
    as_ada = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
    argv = [*as_ada, "/usr/bin/python3", "-I", "-c", RACE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as racer:
        while racer.poll() is None:
            assert site.get("of/ada/").status_code == 200
        assert racer.stdout is not None
        seen, into = map(int, racer.stdout.read().split())
    assert seen > 0, "else it shows nothing"
    assert into == 0


def test_what_a_reader_was_made_to_start_ends_with_it(hub_python: str) -> None:
    """Whether the reader still runs then or has ended."""
    script = """
import asyncio, os
from class_work import reading
async def main(ending):
    reader = await asyncio.create_subprocess_exec(
        "sh", "-c", "sleep 300 >&- & echo $!; " + ending, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    left = int(await reader.stdout.readline())
    if ending == "true":
        await reader.wait()
    await reading.end(reader)
    for _ in range(50):
        if not os.path.exists(f"/proc/{left}") or "Z" in open(f"/proc/{left}/stat").read().split()[2]:
            return
        await asyncio.sleep(0.1)
    os.kill(left, 9)
    raise SystemExit(f"it runs on after: {ending}")
for ending in ("true", "sleep 300"):
    asyncio.run(main(ending))
"""
    done = subprocess.run(
        [hub_python, "-B", "-c", script], env={"PATH": os.environ["PATH"], "PYTHONPATH": str(FILES)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_who_takes_nothing_holds_nobody_up(site: Site) -> None:
    eventually(lambda: not readers_of("ada", site))
    with contextlib.ExitStack() as stalled:
        for _ in range(4):
            stalled.enter_context(site.get("of/ada/long.bin?do=fetch", stream=True))
        refused = site.get("of/ada/data.bin?do=fetch")
        assert refused.status_code == 404
        assert "Others are looking or downloading; try again in a minute." in refused.text
        assert site.get("of/ada/lab.py?do=show").status_code == 200
        # The others are still connected, but no longer block.
        eventually(lambda: not readers_of("ada", site), 30)
        assert site.get("of/ada/data.bin?do=fetch").status_code == 200


def test_half_a_file_is_never_taken_for_the_whole(site: Site) -> None:
    eventually(lambda: not readers_of("ada", site))
    with site.get("of/ada/long.bin?do=fetch", stream=True) as answer:
        next(answer.iter_content(1 << 16))
        (reader,) = readers_of("ada", site)
        subprocess.run(["kill", "-KILL", reader], check=True)
        with pytest.raises(requests.RequestException):
            for _ in answer.iter_content(1 << 20):
                pass


def test_the_reader_refuses_to_run_as_root() -> None:
    done = subprocess.run(
        ["/usr/bin/python3", "-I", str(FILES / "class_work/reader.py"), "0", "0"],
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "rights that it must not have" in done.stderr
    group = grp.getgrnam("nogroup").gr_gid
    kept = ["setpriv", "--reuid", "65534", "--regid", str(group), "--groups", "0", "/usr/bin/python3", "-I"]
    done = subprocess.run(
        [*kept, str(FILES / "class_work/reader.py"), "65534", str(group)],
        input="{}",
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert "it cannot become 65534" in done.stderr
