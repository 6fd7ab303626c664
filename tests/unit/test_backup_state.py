"""When a backup counts as late or failed, what is reported, to whom and how often."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import excess, notation, state
from coursehub_backup.config import Config, Target

from tests.support.backups import config_of

pytestmark = pytest.mark.unit

NOW = time.mktime((2026, 11, 30, 14, 0, 0, 0, 0, -1))
NIGHT = time.mktime((2026, 11, 30, 4, 0, 0, 0, 0, -1))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path, Target("volume", "/nowhere"), hours=(7, 23))


def record(**facts: Any) -> dict[str, Any]:
    return {"targets": {"volume": facts}}


@pytest.mark.parametrize(
    ("now", "age", "late"),
    [(NOW, 2, False), (NOW, 3, True), (NIGHT, 3, False), (NIGHT, 25, False), (NIGHT, 27, True)],
)
def test_backup_is_late_by_the_hour_of_the_day(config: Config, now: float, age: float, late: bool) -> None:
    found = state.problem(config, record(ok=now - age * 3600), now, since=0)
    assert bool(found) is late
    assert found is None or "late" in found


def test_first_backup_is_not_late_before_its_time(config: Config) -> None:
    assert state.problem(config, {}, NOW, since=NOW - 60) is None
    assert "there is none yet" in str(state.problem(config, {}, NOW, since=NOW - 4 * 3600))


def test_failure_is_a_problem_at_once_with_the_last_good_one(config: Config) -> None:
    found = state.problem(config, record(ok=NOW - 1800, error="volume: no room"), NOW, since=0)
    assert found == "backup to volume failed: volume: no room; the last good one is 30 minutes old"


def test_damage_and_a_clock_from_the_future_are_problems(config: Config) -> None:
    assert "damaged" in str(state.problem(config, record(ok=NOW - 60, damage="pack 1"), NOW, since=0))
    assert "clock" in str(state.problem(config, record(ok=NOW + 7200), NOW, since=0))


def test_record_that_is_damaged_counts_as_nothing_known(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for text in ("", "{", "[]"):
        path.write_text(text)
        assert state.read(path) == {}
    state.note("volume", path, ok=1.0)
    assert state.read(path) == {"targets": {"volume": {"ok": 1.0}}}


SSH = (
    "sftp.args=-i /etc/b/keys/office -p 2222 -o UserKnownHostsFile=/etc/b/known_hosts -o GlobalKnownHostsFile=/dev/null"
    " -o StrictHostKeyChecking=yes -o HostKeyAlias=office"
    " -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=20"
)


@pytest.mark.parametrize(("given", "expected"), [
    ({"kind": "directory", "path": "/mnt/b"}, ("/mnt/b", (), {})),
    ({"kind": "sftp", "user": "hub", "host": "b.example.edu", "port": 2222, "path": "/b", "key": "unused here"},
     ("sftp:hub@b.example.edu:/b", (SSH,), {})),
    ({"kind": "s3", "endpoint": "https://s3.example.edu/", "bucket": "b/physics", "access_key": "A", "secret": "S"},
     ("s3:https://s3.example.edu/b/physics", (), {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"})),
    ({"kind": "rest", "endpoint": "https://rest.example.edu/b", "access_key": None, "secret": "S"},
     ("rest:https://rest.example.edu/b/", (), {"RESTIC_REST_USERNAME": "", "RESTIC_REST_PASSWORD": "S"})),
    ({"kind": "restic", "repository": "rest:http://a:b@192.0.2.1/"}, ("rest:http://a:b@192.0.2.1/", (), {})),
])  # fmt: skip
def test_backup_target_in_restics_notation(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert notation.words("office", given, Path("/etc/b")) == expected


def test_home_with_too_many_files_or_holes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excess, "MOST_FILES", 5)
    home, shared = tmp_path / "home", tmp_path / "shared"
    for name in ("ada", "many", "holes", "large"):
        (home / name).mkdir(parents=True)
    (shared / "groups" / "red" / "deep" / "deeper").mkdir(parents=True)
    for number in range(6):
        (home / "many" / str(number)).touch()
        (shared / "groups" / "red" / "deep" / str(number)).touch()
    for name, sizes in (("holes", (15, 15)), ("large", (50, 15))):
        for number, size in enumerate(sizes):
            with (home / name / str(number)).open("wb") as file:
                file.truncate(size << 30)
    (home / "ada" / "link").symlink_to(home / "many")
    (home / "ada" / "groups").symlink_to(shared / "groups" / "red")
    found = [
        path.name for path in excess.directories(home, (str(home), str(shared))) if excess.is_too_much(path, 20 << 30)
    ]
    assert found == ["holes", "many", "red"]


def test_who_was_left_out_is_in_the_line() -> None:
    target = {"ok": NOW - 60, "left_out": ["ada"]}
    said = state.line({"now": NOW, "problem": None, "targets": {"volume": target, "office": target}})
    assert said.startswith("ok ")
    assert said.endswith("left out, with too many or too large empty files: ada")


def test_target_on_the_servers_own_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(state, "STATE", tmp_path)
    own, far = Target("own", "/var/no-such/backups"), Target("far", "rest:https://rest.example.edu/physics/")
    other_disk = Target("disk", "/proc/backups")
    found = state.document(config_of(tmp_path, own, far, other_disk), NOW)
    assert {name: "dies_with_server" in one for name, one in found["targets"].items()} == {
        "own": True,
        "far": False,
        "disk": False,
    }
    for one in found["targets"].values():
        one["ok"] = NOW
    assert "; own is on the server's own disk and is lost with it" in state.line({**found, "problem": None})
