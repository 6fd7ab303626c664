"""The state that keeps `apply` from changing the hub's version."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from coursehub_uv import digest_of

from runner.saltssh.causes import cause
from tests.support.loading import load

pytestmark = pytest.mark.unit
SOURCE = Path(__file__).resolve().parents[2] / "salt" / "_states" / "hub_version.py"


@pytest.fixture
def state(tmp_path: Path) -> ModuleType:
    module = load(SOURCE)
    (tmp_path / "lock").write_text("jupyterhub==6.1.1\n")
    module.__dict__["__opts__"] = {"test": False}
    module.__dict__["__salt__"] = {"cp.cache_file": lambda _: str(tmp_path / "lock")}
    (tmp_path / "python3.13").touch()
    (tmp_path / "database").touch()
    serve(tmp_path)
    return module


def serve(place: Path) -> None:
    """The hub serves the version of the present lock."""
    (place / "current").unlink(missing_ok=True)
    (place / "current").symlink_to(f"/opt/{digest_of('python3.13', [(place / 'lock').read_bytes()])}")


def apply(state: ModuleType, place: Path) -> dict[str, Any]:
    names = {name: str(place / name) for name in ("database", "allowed", "went_back")}
    found: dict[str, Any] = state.unchanged(
        "jupyterhub-version", "salt://lock", str(place / "current"), python=str(place / "python3.13"), **names
    )
    return found


def test_hub_of_the_same_version_passes(state: ModuleType, tmp_path: Path) -> None:
    assert apply(state, tmp_path)["result"] is True
    (tmp_path / "lock").write_text("# resolved on another day\njupyterhub==6.1.1\n")
    assert apply(state, tmp_path)["result"] is True


def test_hub_of_another_version_waits_for_upgrade(state: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("jupyterhub==7.0.0\n")
    refused = apply(state, tmp_path)
    assert refused["result"] is False and refused["changes"] == {}
    known = cause(refused["comment"])
    assert known and known.ends_it and "coursehub upgrade COURSE" in known.remedy
    state.__dict__["__opts__"] = {"test": True}
    assert apply(state, tmp_path)["result"] is None
    (tmp_path / "allowed").touch()
    assert apply(state, tmp_path)["result"] is True


@pytest.mark.parametrize("missing", ["current", "database"])
def test_hub_that_never_served_gets_any_version(state: ModuleType, tmp_path: Path, missing: str) -> None:
    """An `up` that was interrupted, and goes on with a newer coursehub."""
    (tmp_path / "lock").write_text("jupyterhub==7.0.0\n")
    (tmp_path / missing).unlink()
    assert apply(state, tmp_path)["result"] is True


def test_states_wait_after_a_rollback(state: ModuleType, tmp_path: Path) -> None:
    """The version before may have the same JupyterHub and another configuration."""
    (tmp_path / "went_back").touch()
    refused = apply(state, tmp_path)
    assert refused["result"] is False
    known = cause(refused["comment"])
    assert known and "went back" in known.what
    (tmp_path / "allowed").touch()
    assert apply(state, tmp_path)["result"] is True
