"""The state python_package.installed installs a directory of modules completely, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.loading import load

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(os.geteuid() != 0, reason="the files become root's"),
]
SOURCE = Path(__file__).resolve().parents[2] / "salt" / "_states" / "python_package.py"


@pytest.fixture
def state(tmp_path: Path) -> ModuleType:
    module = load(SOURCE)

    def cache_dir(source: str) -> list[str]:
        root = tmp_path / "cache" / source.removeprefix("salt://")
        return [str(path) for path in root.rglob("*") if path.is_file()]

    module.__dict__["__opts__"] = {"test": False}
    module.__dict__["__salt__"] = {"cp.cache_dir": cache_dir}
    ship(tmp_path, {"__init__.py": "", "deep/inner.py": "X = 1\n", "page.html": "<p>"})
    return module


def ship(tmp_path: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        file = tmp_path / "cache/demo/files/package" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def apply(state: ModuleType, tmp_path: Path) -> dict:
    return state.installed(str(tmp_path / "lib/package"), "salt://demo/files/package")


def content(tmp_path: Path) -> dict[str, str]:
    root = tmp_path / "lib/package"
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_python_package_first_and_again(state: ModuleType, tmp_path: Path) -> None:
    ret = apply(state, tmp_path)
    assert ret["result"] is True
    assert ret["changes"] == {"__init__.py": "new", "deep/inner.py": "new", "page.html": "new"}
    assert content(tmp_path) == {"__init__.py": "", "deep/inner.py": "X = 1\n", "page.html": "<p>"}
    assert (tmp_path / "lib/package/deep/inner.py").stat().st_mode & 0o7777 == 0o644
    assert (tmp_path / "lib/package/deep").stat().st_mode & 0o7777 == 0o755
    again = apply(state, tmp_path)
    assert again["result"] is True and again["changes"] == {}


def test_python_package_shows_what_changes(state: ModuleType, tmp_path: Path) -> None:
    apply(state, tmp_path)
    ship(tmp_path, {"deep/inner.py": "X = 2\n"})
    (tmp_path / "lib/package/__init__.py").chmod(0o666)
    state.__dict__["__opts__"] = {"test": True}
    ret = apply(state, tmp_path)
    assert ret["result"] is None
    assert ret["changes"] == {"deep/inner.py": "@@ -1 +1 @@\n-X = 1\n+X = 2", "__init__.py": "owner and mode set"}
    assert content(tmp_path)["deep/inner.py"] == "X = 1\n"
    state.__dict__["__opts__"] = {"test": False}
    assert apply(state, tmp_path)["result"] is True
    assert content(tmp_path)["deep/inner.py"] == "X = 2\n"
    assert (tmp_path / "lib/package/__init__.py").stat().st_mode & 0o7777 == 0o644


def test_python_package_broken_module_replaces_nothing(state: ModuleType, tmp_path: Path) -> None:
    apply(state, tmp_path)
    ship(tmp_path, {"__init__.py": "Y = 1\n", "deep/inner.py": "X = 1\ndef (:\n"})
    ret = apply(state, tmp_path)
    assert ret["result"] is False and ret["changes"] == {}
    assert ret["comment"] == "deep/inner.py:2: invalid syntax; nothing was changed"
    assert content(tmp_path)["__init__.py"] == ""


def test_python_package_removes_what_left(state: ModuleType, tmp_path: Path) -> None:
    """A module that is no longer shipped could still be imported; its bytecode is removed too."""
    apply(state, tmp_path)
    left = tmp_path / "lib/package/old.py"
    left.write_text("")
    (tmp_path / "lib/package/.half.py.new").write_text("")
    bytecode = tmp_path / "lib/package/__pycache__/inner.cpython-313.pyc"
    bytecode.parent.mkdir()
    bytecode.write_text("")
    ret = apply(state, tmp_path)
    assert ret["changes"] == {".half.py.new": "removed", "old.py": "removed"}
    assert not left.exists() and bytecode.exists()


def test_python_package_leaves_bytecode_and_backups(state: ModuleType, tmp_path: Path) -> None:
    ship(tmp_path, {"__pycache__/x.pyc": "", "page.html~": "", ".page.html.swp": ""})
    apply(state, tmp_path)
    assert set(content(tmp_path)) == {"__init__.py", "deep/inner.py", "page.html"}


def test_python_package_without_source_fails(state: ModuleType, tmp_path: Path) -> None:
    ret = state.installed(str(tmp_path / "lib/package"), "salt://demo/files/nothing")
    assert ret["result"] is False and ret["comment"] == "there are no files in salt://demo/files/nothing"


def test_python_package_names_what_it_cannot_write(state: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "lib").write_text("a file where the directory should be")
    ret = apply(state, tmp_path)
    assert ret["result"] is False and str(tmp_path / "lib") in ret["comment"]
