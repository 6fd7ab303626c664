"""Timers that only one of two versions has, such as those of images, when the version before comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from coursehub_upgrade import version
from coursehub_upgrade.config import Config

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
    assert not any("images" in line for line in programs)
