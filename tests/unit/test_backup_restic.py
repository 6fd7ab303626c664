"""When restic is started again: a lock of somebody else, and a target on which no lock can be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from coursehub_backup import hopeless
from coursehub_backup.config import Target
from coursehub_backup.restic import LOCKED, NO_REPOSITORY, Restic, ResticError

pytestmark = pytest.mark.unit

#: Notes its command, without the common options, and fails as ``fault`` says.
_PROGRAM = """#!/bin/sh
shift 4
echo "$*" >> {calls}
case "$1" in --no-lock) echo read; exit 0;; unlock) exit 0;; esac
echo '{message}' >&2
exit {code}
"""


def restic(place: Path, message: str, code: int) -> Restic:
    program = place / "restic"
    program.write_text(_PROGRAM.format(calls=place / "calls", message=message, code=code))
    program.chmod(0o755)
    return Restic(Target("volume", "/nowhere"), program=str(program), place=place, state=place, lock_tries=2)


def calls(place: Path) -> list[str]:
    return (place / "calls").read_text().splitlines()


READ_ONLY = "Fatal: unable to create lock in backend: open /b/locks/1: read-only file system"


def test_read_only_target_is_read_without_a_lock(tmp_path: Path) -> None:
    program = restic(tmp_path, READ_ONLY, 1)
    assert program.run("snapshots", "--json").stdout == b"read\n"
    program.run("ls", "s1")
    assert calls(tmp_path) == ["snapshots --json", "--no-lock snapshots --json", "--no-lock ls s1"]


def test_read_only_target_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ResticError, match=r"^volume: unable to create lock in backend: .*read-only file system$"):
        restic(tmp_path, READ_ONLY, 1).run("forget", "s1")
    assert calls(tmp_path) == ["forget s1"]


#: As restic says it; it goes on for 15 minutes.
_TRIES = """#!/bin/sh
shift 4
case "$1" in --no-lock) echo read; exit 0;; esac
trap 'kill $!; exit 130' INT
for n in 1 2 3; do echo 'Save(<{what}/5a5c9baa94>) returned error, retrying after 2.5s: open /b/x: {why}' >&2; done
sleep 600 & wait
"""


@pytest.mark.timeout(150)
def test_what_waiting_does_not_mend_is_told_soon(tmp_path: Path) -> None:
    program = restic(tmp_path, "", 1)
    (tmp_path / "restic").write_text(_TRIES.format(what="data", why="no space left on device"))
    with pytest.raises(ResticError, match=r"^volume: open /b/x: no space left on device$"):
        program.run_watched("backup", "/home", accept=(3,), look=lambda: False, every=300)


@pytest.mark.timeout(150)
def test_lock_that_cannot_be_written_is_not_waited_for(tmp_path: Path) -> None:
    program = restic(tmp_path, "", 1)
    (tmp_path / "restic").write_text(_TRIES.format(what="lock", why="sftp: Failure"))
    assert program.run("snapshots").stdout == b"read\n"


@pytest.mark.timeout(150)
def test_look_ends_a_backup(tmp_path: Path) -> None:
    program = restic(tmp_path, "", 1)
    (tmp_path / "restic").write_text(_TRIES.format(what="data", why="i/o timeout"))
    looks = iter([False, True])
    assert program.run_watched("backup", "/home", accept=(3,), look=lambda: next(looks), every=0.2) is None


@pytest.mark.parametrize(("why", "told"), [
    ("stat /b/config: no such file or directory", "there is no repository"),
    ("<config/> does not exist", "there is no repository"),
    ("dial tcp 127.0.0.1:9: connect: connection refused", "unable to open config file: dial tcp 127"),
])  # fmt: skip
def test_target_that_is_away_is_no_missing_repository(why: str, told: str, tmp_path: Path) -> None:
    """restic asks the same question after each failure."""
    message = f"Fatal: unable to open config file: {why}\nIs there a repository at the following location?\n/b"
    with pytest.raises(ResticError, match=f"^volume: {told}"):
        restic(tmp_path, message, 1).run("cat", "config")


def test_bucket_that_does_not_exist_is_a_new_target(tmp_path: Path) -> None:
    """restic makes it, with the repository."""
    line = b"Stat(<config/>) returned error, retrying after 9.1s: Stat: The specified bucket does not exist\n"
    assert hopeless.why(line * 2, reads=False) is None
    said = (hopeless.why(line * 3, reads=False) or b"").decode()
    with pytest.raises(ResticError) as error:
        restic(tmp_path, said, 1).run("cat", "config")
    assert error.value.code == NO_REPOSITORY


def test_last_words_in_json_are_read(tmp_path: Path) -> None:
    message = (
        '{"message_type":"exit_error","code":1,"message":"Fatal: unable to save snapshot: no space left on device"}'
    )
    with pytest.raises(ResticError, match=r"^volume: unable to save snapshot: no space left on device$"):
        restic(tmp_path, message, 1).run("backup", "--json", "/home")


def test_target_that_is_away_is_told_within_a_minute() -> None:
    line = b'Stat(<config/>) returned error, retrying after 9.1s: Head "http://:***@h/config": connection refused\n'
    assert hopeless.why(line * 5, reads=False) is None
    assert b"does not answer as it should: Head" in (hopeless.why(line * 6, reads=False) or b"")


def test_what_may_mend_itself_is_waited_for() -> None:
    line = b"Save(<%s/5a5c9baa94>) returned error, retrying after 2.5s: %s\n"
    for what, reason in ((b"data", b"connection reset by peer"), (b"lock", b"i/o timeout")):
        assert hopeless.why(line % (what, reason) * 5, reads=False) is None
    # Each step by itself, and only whole lines.
    full = b"no space left on device"
    assert hopeless.why(b"".join(line % (b"%d" % n, full) for n in range(9)), reads=False) is None
    assert hopeless.why((line % (b"data", full) * 3)[:-1], reads=False) is None


@pytest.mark.parametrize("code", [1, LOCKED])
def test_lock_of_somebody_else_is_respected(code: int, tmp_path: Path) -> None:
    """It may delete what would be read."""
    message = "unable to create lock in backend: repository is already locked exclusively by PID 7 on other"
    with pytest.raises(ResticError, match="another host has the repository locked"):
        restic(tmp_path, message, code).run("restore", "s1")
    assert calls(tmp_path) == ["restore s1", "unlock"] * 2


#: Locked until somebody unlocks. Notes how long each command would wait for the lock.
_LOCKED = """#!/bin/sh
echo "$4 $5" >> {place}/calls
case "$5" in unlock) touch {place}/free; exit 0;; esac
[ -e {place}/free ] || exit 11
"""


def test_lock_of_a_dead_process_is_not_waited_for(tmp_path: Path) -> None:
    """After a power cut in the middle of a backup a restore would otherwise take two minutes longer."""
    program = restic(tmp_path, "", 1)
    (tmp_path / "restic").write_text(_LOCKED.format(place=tmp_path))
    program.run("snapshots")
    assert calls(tmp_path) == ["0s snapshots", "2m unlock", "2m snapshots"]
