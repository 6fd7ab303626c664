"""How uv is installed on a server: the rendered command itself, with a pip that fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.render.rendering import Rendering
from tests.support.programs import Programs

pytestmark = pytest.mark.render

#: Fails as often as the file beside it says, and then installs.
PIP = """
left=$(cat "$0.fails")
echo $((left - 1)) > "$0.fails"
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin"
[ "$left" -gt 0 ] && { touch "$2/half"; exit 2; }
touch "$2/bin/uv"
"""


@pytest.mark.parametrize(("fails", "calls", "code"), [(0, 1, 0), (2, 3, 0), (3, 3, 2)])
def test_interrupted_download_starts_again_from_nothing(
    renderings: dict[str, Rendering],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: int,
    calls: int,
    code: int,
) -> None:
    programs = Programs.install(tmp_path / "bin", monkeypatch)
    programs.add("sleep")
    programs.add("pip", PIP)
    (tmp_path / "bin/pip.fails").write_text(str(fails))
    (command,) = [one["name"] for one in renderings["uv-defaults-debian-13"].chunks if one["state"] == "cmd"]
    script = command.replace("/opt/uv", str(tmp_path / "uv")).replace("/usr/bin/python3", str(tmp_path / "bin/pip"))
    (tmp_path / "uv").mkdir()
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, len(programs.calls("pip"))) == (code, calls), done.stderr
    assert programs.calls("sleep") == [["0"], ["5"], ["15"]][:calls]
    assert (tmp_path / "uv/uv").exists() == (code == 0)
    if not code:
        (home,) = (path for path in (tmp_path / "uv").iterdir() if path.is_dir())
        assert [path.name for path in home.rglob("*") if path.is_file()] == ["uv"]
