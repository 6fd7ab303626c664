"""The server's part of an upgrade: what is saved and put back, who decides, and what an interruption leaves."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from coursehub_upgrade import database, guard, main, phase, version
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError
from coursehub_upgrade.trees import mirror

from tests.support.upgrades import NEW, OLD, config, guarded, install, programs, served

__all__ = ["config", "programs"]

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("programs")]


# -- trees ---------------------------------------------------------------------------------------------------


def describe(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        facts = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        mode = 0 if path.is_symlink() else stat.S_IMODE(facts.st_mode)
        found[str(path.relative_to(root))] = (stat.S_IFMT(facts.st_mode), mode, facts.st_uid, content)
    return found


def test_mirror_makes_equal_and_writes_only_what_differs(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    (source / "deep/secret").write_text("s")
    (source / "deep/secret").chmod(0o400)
    (source / "link").symlink_to("/nowhere")
    (source / "same").write_text("x")
    (target / "same").mkdir(parents=True)
    (target / "same/not").touch()
    (target / "extra").symlink_to("/")
    (target / "deep").write_text("a file here")
    assert mirror(source, target)
    assert describe(source) == describe(target)
    inode = (target / "same").stat().st_ino
    assert not mirror(source, target)
    assert (target / "same").stat().st_ino == inode


def test_mirror_of_nothing_removes_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "target").symlink_to(tmp_path / "kept")
    assert mirror(tmp_path / "none", tmp_path / "target")
    assert not (tmp_path / "target").is_symlink()
    assert (tmp_path / "kept/file").exists()
    assert not mirror(tmp_path / "none", tmp_path / "target")


def test_mirror_leaves_environments_alone(config: Config, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    mirror(config.hub, copy, config.parents)
    assert not (copy / "hub/old").exists()
    assert (copy / "hub/current").readlink() == config.hub / "hub/old"
    (config.hub / "hub/newer").mkdir()
    mirror(copy, config.hub, config.parents)
    assert (config.hub / "hub/newer").is_dir() and (config.hub / "hub/old/.complete").exists()


def test_mirror_can_be_killed_anywhere(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each of its steps a run ends; the next run makes it equal."""
    source = tmp_path / "source"
    mirror(config.hub, source, config.parents)
    real = os.replace
    for steps in range(6):
        install(config, "new")
        left = [steps]

        def dies(path: Path, target: Path, left: list[int] = left) -> Path:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            real(path, target)
            return Path(target)

        monkeypatch.setattr(Path, "replace", dies)
        with contextlib.suppress(KeyboardInterrupt):
            mirror(source, config.hub, config.parents)
        monkeypatch.undo()
        mirror(source, config.hub, config.parents)
        assert [name for name in describe(config.hub) if "coursehub-new" in name] == []
        assert (config.hub / "lib/code.py").read_text() == "VERSION = 'old'\n"
        assert (config.hub / "hub/current").resolve().name == "old"


# -- versions ------------------------------------------------------------------------------------------------


def test_saved_version_comes_back_as_it_was(config: Config) -> None:
    version.save(config)
    before = {path: describe(path) for path in config.saved if path.exists()}
    install(config, "new")
    (config.saved[3]).write_text("a file that only the new version has")
    done = version.put_back(config, "a test")
    assert served(config) == OLD
    environments = {
        "hub/new",
        "hub/new/.complete",
        "proxy/new",
        "proxy/new/.complete",
        "envs/new",
        "envs/new/.complete",
    }
    kept = {f"{parent}/old/.kept" for parent in ("hub", "proxy", "envs")}
    after = {path: describe(path) for path in config.saved if path.exists()}
    for path, files in before.items():
        assert {name: facts for name, facts in after[path].items() if name not in environments} == files
        assert kept & files.keys() or path == config.saved[2]
    assert done["serves"]["hub"] == "old" and done["lost"] == ""
    assert phase.read(config.place)[0] == phase.IDLE
    assert main.look(config)["went_back"]["reason"] == "a test"


def test_environments_of_the_version_before_are_kept(config: Config) -> None:
    """salt/_utils/coursehub_uv.py removes no environment with this mark; a later upgrade takes the mark away."""
    version.save(config)
    install(config, "new")
    assert (config.hub / "hub/old/.kept").exists() and not (config.hub / "hub/new/.kept").exists()
    version.save(config)
    assert not (config.hub / "hub/old/.kept").exists() and (config.hub / "hub/new/.kept").exists()


def test_version_with_a_lost_environment_is_refused(config: Config) -> None:
    assert "no version before" in version.missing(config)
    with pytest.raises(UpgradeError, match="no version before"):
        version.put_back(config, "a test")
    version.save(config)
    assert version.missing(config) == ""
    (config.course / "envs/old/.complete").unlink()
    assert "no longer on the server" in version.missing(config)


def test_proxy_restarts_only_for_its_own_change(config: Config, programs: list[str]) -> None:
    """Its restart interrupts every websocket for a moment."""
    version.save(config)
    (config.hub / "lib/code.py").write_text("VERSION = 'new'\n")
    version.put_back(config, "a test")
    assert "systemctl start jupyterhub-proxy.service" in programs
    install(config, "new")
    version.put_back(config, "a test")
    assert "systemctl restart jupyterhub-proxy.service" in programs
    assert not any("jupyter-" in line or "class.slice" in line for line in programs)


def test_check_may_sign_in_to_the_version_before(
    config: Config, programs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version before may not know the group that a newer coursehub gave the account."""
    monkeypatch.setattr(version, "_groups_of", lambda _: ["class", "students"])
    version.save(config)
    monkeypatch.setattr(version, "_groups_of", lambda _: ["class", "checks"])
    version.put_back(config, "a test")
    assert "usermod --append --groups students coursehub-check" in programs


def test_full_disk_while_saving_changes_nothing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    words = io.StringIO()
    with pytest.raises(OSError, match="No space"):
        guard.guard(config, words, words, {})
    assert phase.read(config.place)[0] == phase.IDLE
    assert served(config) == OLD
    assert not config.allowed.exists()


# -- database ------------------------------------------------------------------------------------------------


def migrated(config: Config, statement: str = "") -> None:
    with sqlite3.connect(config.database) as db:
        db.execute("ALTER TABLE users ADD COLUMN display TEXT")
        db.execute("UPDATE alembic_version SET version_num = 'two'")
        db.executescript(statement)


def names(path: Path) -> list[str]:
    with sqlite3.connect(path) as db:
        return [row[0] for row in db.execute("SELECT name FROM users ORDER BY name")]


def test_database_of_the_same_schema_stays(config: Config) -> None:
    version.save(config)
    with sqlite3.connect(config.database) as db:
        db.execute("INSERT INTO users (name) VALUES ('bob')")
    assert version.put_back(config, "a test")["lost"] == ""
    assert names(config.database) == ["ada", "bob"]


def test_database_goes_back_with_what_people_did(config: Config) -> None:
    version.save(config)
    migrated(
        config,
        """
        INSERT INTO users (id, name, cookie_id, display) VALUES (7, 'bob', 'c7', 'Bob');
        UPDATE users SET cookie_id = 'c2' WHERE name = 'ada';
        INSERT INTO servers (id, base_url) VALUES (5, '/user/bob/');
        INSERT INTO spawners (user_id, server_id) VALUES (7, 5);
        INSERT INTO api_tokens (user_id, hashed) VALUES (7, 'h');
        """,
    )
    assert version.put_back(config, "a test")["lost"] == ""
    assert database.revision(config.database) == "one"
    with sqlite3.connect(config.database) as db:
        cookies = dict(db.execute("SELECT name, cookie_id FROM users").fetchall())
        running = db.execute(
            "SELECT name, base_url, hashed FROM users u JOIN spawners p ON p.user_id = u.id "
            "JOIN servers s ON s.id = p.server_id JOIN api_tokens t ON t.user_id = u.id"
        ).fetchall()
    assert cookies == {"ada": "c2", "bob": "c7"}
    assert running == [("bob", "/user/bob/", "h")]


def test_database_that_cannot_be_carried_is_said(config: Config) -> None:
    """A table that the new version has no more: the copy from before the switch is better than no hub."""
    version.save(config)
    migrated(config, "DROP TABLE spawners; INSERT INTO users (name) VALUES ('bob');")
    assert "sign in again" in version.put_back(config, "a test")["lost"]
    assert names(config.database) == ["ada"]
    assert database.revision(config.database) == "one"


def test_copies_of_the_database_are_private(config: Config) -> None:
    umask = os.umask(0)
    try:
        version.save(config)
        database.copy(config.database, config.place / "copy")
    finally:
        os.umask(umask)
    for path in (config.before / "database.sqlite", config.place / "copy"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


# -- guard ---------------------------------------------------------------------------------------------------


@pytest.fixture
def line() -> Iterator[Callable[..., Any]]:
    """Runs the guard with a pipe, as the runner does; ``after`` happens once the version is saved."""
    opened: list[int] = []

    def run(config: Config, *said: str, after: Callable[[], None] = lambda: None, close: bool = True) -> dict[str, Any]:
        read, write = os.pipe()
        opened.append(write)

        def speak() -> None:
            assert phase.read(config.place)[0] == phase.SWITCHING
            after()
            for words in said:
                os.write(write, f"{words}\n".encode())
            if close:
                os.close(opened.pop())

        return guarded(config, read, speak)

    yield run
    for descriptor in opened:
        os.close(descriptor)


def test_guard_keeps_what_the_runner_wants_to_keep(config: Config, line: Callable[..., Any]) -> None:
    config.went_back.write_text("{}")
    done = line(config, "alive", "keep", after=lambda: install(config, "new"))
    assert done["kept"] and served(config) == NEW
    assert phase.read(config.place)[0] == phase.IDLE
    assert not config.allowed.exists() and not config.went_back.exists()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (["alive", "back the kernel is dead"], "the kernel is dead"),
        (["alive"], "the computer that ran the upgrade is gone"),
        ([], "the computer that ran the upgrade is gone"),
        (["kee"], "the computer that ran the upgrade is gone"),
    ],
)
def test_guard_goes_back(config: Config, line: Callable[..., Any], said: list[str], reason: str) -> None:
    done = line(config, *said, after=lambda: install(config, "new"))
    assert not done["kept"] and done["reason"] == reason
    assert served(config) == OLD
    assert not config.allowed.exists()


def test_guard_goes_back_after_a_silence(
    config: Config, line: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that swallows everything, without an end of the connection."""
    monkeypatch.setattr(guard, "SILENCE", 0.3)
    done = line(config, "alive", after=lambda: install(config, "new"), close=False)
    assert not done["kept"] and served(config) == OLD


def test_guard_waits_for_states_that_run(config: Config, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "7").mkdir(parents=True)
    (proc / "7/cmdline").write_bytes(f"python3\0{config.salt}/salt-call\0--local".encode())
    ended = []

    def end() -> None:
        time.sleep(0.6)
        ended.append(True)
        (proc / "7/cmdline").unlink()

    threading.Thread(target=end).start()
    guard.wait_for_states(config, proc)
    assert ended


@pytest.mark.parametrize("booting", [False, True])
def test_mend_puts_the_version_before_back(config: Config, programs: list[str], booting: bool) -> None:
    """After a power cut in the middle of the switch, and of going back."""
    version.save(config)
    for name in (phase.SWITCHING, phase.BACK):
        install(config, "new")
        phase.write(config.place, name)
        programs.clear()
        assert guard.mend(config, booting=booting)["mended"] == name
        assert served(config) == OLD
        assert phase.read(config.place)[0] == phase.IDLE
        # systemd starts the units itself then; to wait for them would never end.
        assert any("start jupyterhub.service" in line for line in programs) is not booting
    assert guard.mend(config)["mended"] == phase.IDLE
