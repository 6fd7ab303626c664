"""Restore of a whole server, with a real restic: which backup, whose files, and what is never replaced."""

from __future__ import annotations

import datetime
import hashlib
import shutil
import sqlite3
import struct
import subprocess
from pathlib import Path

import pytest
from coursehub_backup import accounts, choosing, everything, hub_state, restoring, trees
from coursehub_backup.config import Config
from coursehub_backup.numbers import Numbers, Translation, translation
from coursehub_backup.restic import Restic
from coursehub_backup.restoring import RestoreError, Version

from tests.support.backups import here, manifest, root
from tests.support.whole_server import NEW, OLD, OLDER, results, server

__all__ = ["here", "root", "server"]
pytestmark = pytest.mark.unit


def version(day: int, server: str, size: int | None = 1000) -> Version:
    return Version(f"{server[0]}{day}", datetime.datetime(2026, 11, day, 12).astimezone(), size, server=server)


def test_newest_backup_of_another_server_is_chosen() -> None:
    versions = [version(30, NEW), version(29, OLD), version(28, OLD)]
    assert choosing.choose(versions, NEW, None).snapshot == "b29"
    assert choosing.choose(versions, NEW, "2026-11-28").snapshot == "b28"
    assert choosing.choose(versions, NEW, "2026-11-30 13:00").snapshot == "a30"


def test_backup_of_a_server_that_stayed_empty_is_refused() -> None:
    """The second server was never filled; its backup is newer than the last one of the first server."""
    versions = [version(30, OLD, 10), version(29, OLDER, 1000)]
    with pytest.raises(RestoreError, match=r"--at '2026-11-30 12:00:01' for .*--at '2026-11-29 12:00:01' for"):
        choosing.choose(versions, NEW, None)
    assert choosing.choose(versions, NEW, "2026-11-29 12:00:01").snapshot == "c29"
    assert choosing.choose(versions, NEW, "2026-11-30 13:00").snapshot == "b30"


def test_access_list_gets_the_new_numbers() -> None:
    numbers = Translation({5: 50}.get, {7: 70}.get)
    entries = [(1, 6, 2**32 - 1), (2, 4, 5), (2, 4, 6), (8, 4, 7), (16, 4, 2**32 - 1)]
    made = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)
    found = [*struct.iter_unpack("<HHI", numbers.acl(made)[4:])]
    assert found == [(1, 6, 2**32 - 1), (2, 4, 50), (8, 4, 70), (16, 4, 2**32 - 1)]


def test_numbers_are_translated_by_names() -> None:
    then = Numbers.of("ada:x:1001:1001::/home/ada:/bin/sh\n", "ada:x:1001:\nteam-red:x:1002:ada\n")
    now = Numbers({"ada": 2001}, {"ada": 2001, "team-red": 2005}, {})
    known = translation(then, now)
    assert [known.uid(1001), known.uid(1002), known.gid(1002), known.gid(7)] == [2001, None, 2005, None]


@pytest.mark.parametrize(
    ("now", "given_then", "given_now", "restored"),
    [
        ("$6$given", "$6$given", "$6$given", True),
        ("$6$changed here", "$6$given", "$6$given", False),
        ("$6$given later", "$6$given", "$6$given later", False),
        ("$6$given", None, "$6$given", True),
        ("!", "$6$given", None, True),
        ("$6$chosen", "$6$given", "$6$given", False),
    ],
)
def test_password_returns_unless_a_newer_exists(now: str, given_then: str, given_now: str, *, restored: bool) -> None:
    def record(given: str | None) -> dict[str, str]:
        return {"ada": hashlib.sha256(given.encode()).hexdigest()} if given else {}

    found = accounts.to_set(["ada"], {"ada": "$6$chosen"}, {"ada": now}, record(given_then), record(given_now))
    assert found == ({"ada": "$6$chosen"} if restored else {})


@pytest.mark.parametrize("old", ["!$6$locked", "*", "", "!"])
def test_password_of_a_locked_account_stays(old: str) -> None:
    assert accounts.to_set(["ada"], {"ada": old}, {"ada": "$6$given"}, {}, {}) == {}


def test_hub_is_used_when_a_person_has_signed_in(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("create table users (name, last_activity)")
        made.execute("insert into users values ('check', 'now'), ('ada', null)")
    assert not hub_state.is_used(path, ["check"])
    made.execute("update users set last_activity = 'now'")
    made.commit()
    assert hub_state.is_used(path, ["check"])
    made.execute("begin exclusive")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        hub_state.is_used(path, ["check"], seconds=0)
    made.rollback()
    path.write_bytes(b"not a database, but long enough to look like one")
    assert not hub_state.is_used(path, ["check"])


def test_old_journal_goes_before_the_new_database_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would write it into the new one, if the server stopped in between."""
    path, journal = tmp_path / "hub.sqlite", tmp_path / "hub.sqlite-wal"
    for file in (path, journal):
        file.write_bytes(b"old")
    with sqlite3.connect(tmp_path / "saved") as made:
        made.execute("create table users (name)")
    seen = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda new, to: seen.append(journal.exists()) or replace(new, to))
    hub_state.put_database((tmp_path / "saved").read_bytes(), path)
    assert seen == [False]
    assert path.read_bytes() == (tmp_path / "saved").read_bytes()


def test_log_is_joined_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("new\n")
    for _ in range(2):
        hub_state.join_log(b"old\n", log)
    assert log.read_text() == "old\nnew\n"
    # From another backup, which ends earlier or later.
    hub_state.join_log(b"older\nold\n", log)
    hub_state.join_log(b"older\n", log)
    assert log.read_text() == "older\nold\nnew\n"


def moved(found: dict[bytes, tuple[object, ...]]) -> list[tuple[bytes, object]]:
    """A manifest without owners."""
    return sorted((name, (*facts[:2], *facts[4:])) for name, facts in found.items())


def test_home_returns_equal_with_the_new_numbers(server: tuple[Config, Restic], root: Path) -> None:
    config, restic = server
    restic.run("restore", "latest", "--target", str(root / "as-it-was"))
    before = moved(manifest(root / "as-it-was" / str(config.homes)[1:] / "nobody"))
    assert everything.run(config, [restic], None)
    home = config.homes / "nobody"
    after = manifest(home)
    assert moved(after) == before
    assert {(facts[2], facts[3]) for facts in after.values()} == {(54321, 1002)}
    assert (home / "labs/sparse").stat().st_blocks * 512 < 1 << 20
    assert not (config.homes / trees.PLACE).exists()
    # Again: nothing is done twice.
    (home / "labs/lab.ipynb").write_text("work on the new server")
    assert everything.run(config, [restic], None)
    assert (home / "labs/lab.ipynb").read_text() == "work on the new server"
    assert [path.name for path in home.iterdir()] == ["labs"]


def test_team_keeps_what_is_its_own(server: tuple[Config, Restic], root: Path) -> None:
    """A file of neither the team's group nor a member came there by a trick, and is left out."""
    config, restic = server
    everything.run(config, [restic], None)
    team = root / "class/groups/red"
    assert [path.name for path in team.iterdir()] == ["plan.txt"]
    found = (team / "plan.txt").stat()
    assert (found.st_uid, found.st_gid, team.stat().st_gid) == (54321, 1003, 1003)


def test_home_in_use_is_never_replaced(server: tuple[Config, Restic]) -> None:
    config, restic = server
    (config.homes / "nobody/mine.txt").write_text("made on the new server")
    # The person has a number here that no account of this computer has, so nothing can be written with their rights.
    shutil.chown(config.homes / "nobody", "nobody", "nogroup")
    everything.run(config, [restic], None)
    assert results()["home nobody"] == "beside"
    assert (config.homes / "nobody/mine.txt").read_text() == "made on the new server"
    (beside,) = [path for path in config.homes.joinpath("nobody").iterdir() if path.name.startswith("restored ")]
    assert (beside / "labs/lab.ipynb").read_text() == "{}"


def test_one_bad_home_is_named_and_the_rest_goes_on(
    server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    config, restic = server

    def full(*_arguments: object) -> int:
        raise RestoreError("the disk is full")

    with monkeypatch.context() as during:
        fetch = restoring.fetch_what_is_there
        during.setattr(restoring, "fetch_what_is_there", lambda *a: full() if a[2].name == "nobody" else fetch(*a))
        assert not everything.run(config, [restic], None)
    assert results()["home nobody"] == "failed"
    assert results()["directory red"] == "restored"
    assert list((config.homes / "nobody").iterdir()) == []
    assert not (config.homes / trees.PLACE).exists()
    assert everything.run(config, [restic], None)
    assert (config.homes / "nobody/labs/lab.ipynb").exists()
    assert (root / "class/groups/red/plan.txt").exists()


def test_a_home_that_is_used_meanwhile_returns_to_its_place(tmp_path: Path) -> None:
    present, work = tmp_path / "ada", tmp_path / "work"
    present.mkdir()
    (present / "just-made").write_text("x")
    with trees.place(tmp_path) as work:
        new = work / "ada"
        new.mkdir()
        (new / "old").write_text("y")
        assert not trees.swap(new, present, "s1")
    assert [path.name for path in present.iterdir()] == ["just-made"]


def test_what_an_interrupted_restore_left_is_not_deleted_if_used(tmp_path: Path) -> None:
    left = tmp_path / trees.PLACE / ".swapped/ada"
    left.mkdir(parents=True)
    (left / "work.txt").write_text("x")
    with pytest.raises(OSError, match="was in use"), trees.place(tmp_path):
        pass
    assert (left / "work.txt").read_text() == "x"


def test_links_of_a_student_lead_nowhere(server: tuple[Config, Restic], root: Path) -> None:
    """Their old home has links to a directory of root, also under the names that the restore uses."""
    config, restic = server
    victim = root / "victim"
    victim.mkdir()
    home = config.homes / "nobody"
    (victim / "kept").touch()
    label = f"restored {restoring.snapshots(restic)[0].at:%Y-%m-%d %H.%M.%S}"
    for name in ("labs", f"{label} (unfinished)"):
        (home / name).symlink_to(victim)
    subprocess.run(["chown", "-hR", "nobody:nogroup", str(home)], check=True)
    assert everything.run(config, [restic], None)
    assert [path.name for path in victim.iterdir()] == ["kept"]
    assert (home / "labs").is_symlink()
    assert (home / label / "labs/lab.ipynb").exists()


def test_link_in_the_place_of_the_copy_leads_nowhere(server: tuple[Config, Restic], root: Path) -> None:
    """It has the name of the finished copy, so the restore takes it for one."""
    config, restic = server
    (root / "victim").mkdir()
    home = config.homes / "nobody"
    label = f"restored {restoring.snapshots(restic)[0].at:%Y-%m-%d %H.%M.%S}"
    (home / label).symlink_to(root / "victim")
    everything.run(config, [restic], None)
    assert list((root / "victim").iterdir()) == []
