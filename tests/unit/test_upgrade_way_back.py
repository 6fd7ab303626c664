"""Which version is the one before, and the way back on a full or failing disk."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from coursehub_upgrade import database, guard, main, phase, trees, version
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError

from tests.support.upgrades import NEW, OLD, config, guarded, install, programs, served

__all__ = ["config", "programs"]

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("programs")]


def upgraded(config: Config, change: Callable[[], None], word: str = "keep") -> dict[str, Any]:
    """An upgrade whose states do ``change``, and whose runner ends with ``word``."""
    read, write = os.pipe()

    def speak() -> None:
        change()
        os.write(write, f"{word}\n".encode())
        os.close(write)

    return guarded(config, read, speak)


def setting(config: Config, text: str) -> None:
    """What the states write for a setting of the course file."""
    (config.saved[2] / "jupyterhub.service").write_text(text)


# -- which version -------------------------------------------------------------------------------------------


def test_change_of_settings_keeps_the_older_version(config: Config) -> None:
    upgraded(config, lambda: install(config, "new"))
    assert upgraded(config, lambda: setting(config, "more memory"))["kept"]
    assert not config.switch.exists()
    assert (config.hub / "hub/old/.kept").exists() and not (config.hub / "hub/new/.kept").exists()
    seen = main.look(config)
    assert seen["saved"]["serves"] == {"hub": "old", "proxy": "old", "course": "old"}
    assert abs(seen["saved"]["at"] - time.time()) < 60
    version.put_back(config, "a test")
    assert served(config) == OLD


def test_change_of_programs_replaces_the_older_version(config: Config) -> None:
    """Without another lock: a mistake in it is what somebody would go back from."""
    upgraded(config, lambda: install(config, "new"))
    upgraded(config, (config.hub / "lib/more.py").touch)
    version.put_back(config, "a test")
    assert served(config) == NEW
    assert not (config.hub / "lib/more.py").exists()


def test_first_change_of_settings_can_be_taken_back(config: Config) -> None:
    """There is no older version yet."""
    upgraded(config, lambda: setting(config, "more memory"))
    version.put_back(config, "a test")
    assert (config.saved[2] / "jupyterhub.service").read_text() == "old"


def test_upgrade_that_went_back_keeps_the_older_version(config: Config) -> None:
    """Its own way back has the present version, also the settings."""
    upgraded(config, lambda: install(config, "new"))
    setting(config, "more memory")
    assert not upgraded(config, lambda: install(config, "newer"), "back no kernel")["kept"]
    assert served(config)[:3] == NEW[:3]
    assert (config.saved[2] / "jupyterhub.service").read_text() == "more memory"
    version.put_back(config, "a test")
    assert served(config) == OLD


def test_upgrade_that_was_cut_off_goes_back_one_step(config: Config) -> None:
    upgraded(config, lambda: install(config, "new"))
    version.save(config, config.switch)
    phase.write(config.place, phase.SWITCHING)
    install(config, "newer")
    assert all((config.hub / f"hub/{name}/.kept").exists() for name in ("old", "new"))
    guard.mend(config, booting=True)
    assert served(config) == NEW
    assert main.look(config)["no_way_back"] == ""
    version.put_back(config, "a test")
    assert served(config) == OLD


@pytest.mark.parametrize("change", [False, True])
def test_power_cut_beside_an_upgrade_loses_no_version(config: Config, change: bool) -> None:
    """Just before the switch is noted, or just after it was kept."""
    upgraded(config, lambda: install(config, "new"))
    version.save(config, config.switch)
    if change:
        install(config, "newer")
    assert main.look(config)["no_way_back"] == ""
    version.put_back(config, "a test")
    assert served(config) == (NEW if change else OLD)


def test_power_cut_after_the_first_upgrade_keeps_the_way_back(config: Config) -> None:
    """Before it nothing was saved. `look` does not lock, so it moves nothing itself."""
    version.save(config, config.switch)
    install(config, "new")
    guard.mend(config, booting=True)
    assert served(config) == NEW
    assert main.look(config)["no_way_back"] == ""
    version.put_back(config, "a test")
    assert served(config) == OLD


@pytest.mark.parametrize(
    ("earlier", "change", "programs_then", "setting_then"),
    [
        ("new", "settings", "old", "old"),
        ("settings", "settings", "old", "other memory"),
        ("new", "newer", "new", "new"),
    ],
)
def test_power_cut_while_a_version_is_removed(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    earlier: str,
    change: str,
    programs_then: str,
    setting_then: str,
) -> None:
    """What is left of it must not count as the version before, in place of a complete one."""

    def change_to(what: str, text: str) -> None:
        if what == "settings":
            setting(config, text)
        else:
            install(config, what)

    def cut(path: Path, **_: Any) -> None:
        if path.exists():
            trees.shutil.rmtree(path / "files")
            raise SystemExit

    upgraded(config, lambda: change_to(earlier, "other memory"))
    version.save(config, config.switch)
    change_to(change, "more memory")
    with monkeypatch.context() as power:
        power.setattr(version, "shutil", SimpleNamespace(rmtree=cut))
        with pytest.raises(SystemExit):
            version.settle(config)
    guard.mend(config, booting=True)
    version.put_back(config, "a test")
    assert (served(config)[0], served(config)[3]) == (programs_then, setting_then)


def test_same_trees_have_the_same_names_and_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for top in (one, other):
        (top / "deep").mkdir(parents=True)
        (top / "deep/file").write_text("x")
        (top / "link").symlink_to("deep")
    assert trees.same(one, other)
    for change in ("deep/file", "deep/more", "link"):
        path = other / change
        path.unlink(missing_ok=True)
        path.write_text("y")
        assert not trees.same(one, other), change
        assert not trees.same(other, one), change
        path.unlink()
        trees.mirror(one, other)
        assert trees.same(one, other)
    (other / "environment").mkdir()
    assert not trees.same(one, other)
    assert trees.same(other, tmp_path / "none") is trees.same(tmp_path / "none", other) is False


# -- a disk that is full, or fails ---------------------------------------------------------------------------


def fails(number: int, name: str = "") -> Callable[..., None]:
    """Stands for shutil.copyfile, for files of this name."""

    def copy(source: Path, target: Path, real: Callable[..., Any] = trees.shutil.copyfile) -> None:
        if name in ("", source.name):
            raise OSError(number, os.strerror(number))
        real(source, target)

    return copy


def test_version_comes_back_on_a_full_disk(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hard link takes no room."""
    version.save(config)
    install(config, "new")
    with monkeypatch.context() as full:
        full.setattr(trees.shutil, "copyfile", fails(errno.ENOSPC))
        version.put_back(config, "a test")
    assert served(config) == OLD
    saved = config.before / "files" / config.hub.relative_to("/") / "lib/code.py"
    assert saved.samefile(config.hub / "lib/code.py")
    # The next saved version shares nothing with what serves.
    version.save(config)
    assert not saved.samefile(config.hub / "lib/code.py")


def test_trial_shares_no_file_with_what_serves(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its states would write into both."""
    monkeypatch.setattr(trees.shutil, "copyfile", fails(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        trees.mirror(config.hub, tmp_path / "copy", config.parents)
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]


@pytest.mark.parametrize("booting", [False, True])
def test_hub_serves_if_the_way_back_fails(
    config: Config, programs: list[str], monkeypatch: pytest.MonkeyPatch, booting: bool
) -> None:
    """One file of the version before cannot be written; the others are, and the next try ends it."""
    version.save(config)
    install(config, "new")
    with monkeypatch.context() as bad:
        bad.setattr(trees.shutil, "copyfile", fails(errno.EIO, "code.py"))
        with pytest.raises(
            UpgradeError, match=r"could not be put back \(.*Input/output error\).*'coursehub rollback'"
        ) as told:
            version.put_back(config, "a test", booting=booting)
    assert ("the hub serves with what is there" in str(told.value)) is not booting
    assert ("the boot starts what is there" in str(told.value)) is booting
    assert (programs[-1] == "systemctl start jupyterhub.service") is not booting
    assert (config.saved[2] / "jupyterhub.service").read_text() == "old"
    assert phase.read(config.place)[0] == phase.BACK
    if not booting:
        # The end of its unit must not interrupt everybody once more.
        before = len(programs)
        guard.mend(config, unit_ended=True)
        assert "systemctl stop jupyterhub.service jupyterhub-work.service" not in programs[before:]
        assert phase.read(config.place)[0] == phase.BACK
    guard.mend(config)
    assert served(config) == OLD and phase.read(config.place)[0] == phase.IDLE


def test_database_that_has_no_room_stays(config: Config, programs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing else was changed either: the new version serves, with its own database."""
    version.save(config)
    install(config, "new")
    with sqlite3.connect(config.database) as db:
        db.execute("UPDATE alembic_version SET version_num = 'two'")

    def full(_source: Path, target: Path) -> None:
        target.with_name(f"{target.name}.new").write_text("half")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(database, "copy", full)
    with pytest.raises(UpgradeError, match=r"\(database or disk is full\), so the hub serves with what is there"):
        version.put_back(config, "a test")
    assert served(config) == NEW
    assert database.revision(config.database) == "two"
    assert [path.name for path in config.database.parent.iterdir()] == [config.database.name]
    assert programs[-1] == "systemctl start jupyterhub.service"


def test_hub_that_does_not_start_either_is_told(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    version.save(config)
    install(config, "new")
    monkeypatch.setattr(trees.shutil, "copyfile", fails(errno.EROFS))
    monkeypatch.setattr(version, "quietly", lambda argv, *_: "start" not in argv)
    with pytest.raises(UpgradeError, match="and no hub starts with what is there; mend that, then run"):
        version.put_back(config, "a test")
    # So the end of the unit tries again.
    with pytest.raises(UpgradeError, match="and no hub starts"):
        guard.mend(config, unit_ended=True)


@pytest.mark.parametrize("ended", [False, True])
def test_end_of_a_unit_is_told_from_a_persons_command(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ended: bool
) -> None:
    monkeypatch.setattr(main.configuration, "read", lambda: config)
    monkeypatch.setattr(main.guard, "mend", lambda _config, **known: known)
    monkeypatch.delenv("SERVICE_RESULT", raising=False)
    if ended:
        monkeypatch.setenv("SERVICE_RESULT", "exit-code")
    assert main.main(["mend"]) == 0
    assert json.loads(capsys.readouterr().out) == {"booting": False, "unit_ended": ended}
