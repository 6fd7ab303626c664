"""Timers that only one of two versions has, such as those of images, when the version before comes back."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from coursehub_upgrade import trees, version
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError

from tests.support.upgrades import config, programs

__all__ = ["config", "programs"]

pytestmark = pytest.mark.unit

TIMER, SERVICE, PLACES = "units/images.timer", "units/images.service", "tmpfiles.d/images.conf"


@pytest.fixture
def two(config: Config) -> Config:
    """A server on which also these files belong to a version."""
    root = config.place.parent
    (root / "tmpfiles.d").mkdir()
    return replace(config, saved=(*config.saved[:2], *(root / name for name in (PLACES, TIMER, SERVICE))))


def write(config: Config) -> None:
    for path in config.saved[2:]:
        path.write_text("[Unit]")


def test_timer_of_the_newer_version_ends_with_it(two: Config, programs: list[str]) -> None:
    """It stops while systemd and tmpfiles still have its files."""
    version.save(two)
    write(two)
    version.put_back(two, "a test")
    assert not any(path.exists() for path in two.saved[2:])
    stop, empty = "systemctl stop images.timer images.service", f"systemd-tmpfiles --remove {two.saved[2]}"
    assert programs.index(stop) < programs.index(empty) < programs.index("systemctl daemon-reload")
    # Its service may take its time, and the hub serves meanwhile.
    assert programs.index(empty) < programs.index("systemctl stop jupyterhub.service jupyterhub-work.service")
    assert "systemctl start --no-block images.timer" not in programs


def test_timer_of_the_version_before_starts_again(two: Config, programs: list[str]) -> None:
    write(two)
    version.save(two)
    for path in two.saved[2:]:
        path.unlink()
    version.put_back(two, "a test", booting=True)
    create, start = f"systemd-tmpfiles --create {two.saved[2]}", "systemctl start --no-block images.timer"
    assert programs.index("systemctl daemon-reload") < programs.index(create) < programs.index(start)
    assert not any(" stop images" in line for line in programs)


def test_timer_of_both_versions_goes_on(two: Config, programs: list[str]) -> None:
    write(two)
    version.save(two)
    version.put_back(two, "a test")
    assert not any("images" in line for line in programs if not line.startswith("sync "))


@pytest.mark.parametrize("booting", [False, True])
def test_timer_that_could_not_go_runs_again(
    two: Config, programs: list[str], monkeypatch: pytest.MonkeyPatch, booting: bool
) -> None:
    """The disk fails, so a hub serves with what is there, and makes images for it."""
    version.save(two)
    write(two)

    def fails(path: Path, real: Callable[[Path], bool] = trees._remove) -> bool:
        if path == two.saved[3]:
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(trees, "_remove", fails)
    with pytest.raises(UpgradeError, match="could not be put back"):
        version.put_back(two, "a test", booting=booting)
    assert two.saved[3].exists()
    stop, start = "systemctl stop images.timer images.service", "systemctl start --no-block images.timer"
    assert programs.index(stop) < programs.index(start)
