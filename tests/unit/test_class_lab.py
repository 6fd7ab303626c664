"""What Lab shows and measures for a student: memory, phones, packages. In a course's environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.course_modules import said

pytestmark = pytest.mark.unit

FILES = Path(__file__).resolve().parents[2] / "formulas/course_env/files"


MEMORY = """
import json
from pathlib import Path
from class_lab import memory
print(json.dumps([memory.kills(Path(sys.argv[2]), Path(sys.argv[3])), memory.message(int(sys.argv[4]), sys.argv[5])]))
"""


@pytest.mark.parametrize(
    ("line", "counter", "expected"),
    [
        ("0::/class.slice/jupyter-ada.service", "class.slice/jupyter-ada.service/memory.events", 3),
        ("9:memory:/class.slice/x", "memory/class.slice/x/memory.oom_control", 3),
        ("9:memory:/class.slice/x", "elsewhere", None),
    ],
    ids=["v2", "v1", "none"],
)
def test_kernels_killed_for_memory_are_counted(
    course_python: str, tmp_path: Path, line: str, counter: str, expected: int | None
) -> None:
    (tmp_path / "cgroup").write_text(f"12:cpu,cpuacct:/\n{line}\n")
    path = tmp_path / "sys" / counter
    path.parent.mkdir(parents=True)
    path.write_text("under_oom 0\noom 4\noom_kill 3\n")
    found, words = said(course_python, MEMORY, str(tmp_path / "cgroup"), str(tmp_path / "sys"), str(1 << 30), "Ask her")
    assert found == expected
    assert "more than the 1 GB that each person has here" in words
    assert words.endswith("Ask her")


@pytest.mark.parametrize(("limit", "amount"), [(1 << 30, "1 GB"), (1536 << 20, "1.5 GB"), (512 << 20, "512 MB")])
def test_memory_limit_is_readable(course_python: str, tmp_path: Path, limit: int, amount: str) -> None:
    (tmp_path / "cgroup").write_text("")
    _, words = said(course_python, MEMORY, str(tmp_path / "cgroup"), str(tmp_path), str(limit), "")
    assert f"the {amount} that" in words


PHONE = "import json; from class_server.phone import instead; print(json.dumps(instead(*json.loads(sys.argv[2]))))"
PHONES = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Mobile/15E148 Safari/604.1"}


@pytest.mark.parametrize(
    ("address", "headers", "expected"),
    [
        ("/user/ada/lab", PHONES, "/user/ada/tree"),
        ("/user/ada/lab/tree/labs/week 1/lab1.ipynb", PHONES, "/user/ada/notebooks/labs/week 1/lab1.ipynb"),
        ("/user/ada/lab/tree/labs", PHONES, "/user/ada/tree/labs"),
        ("/user/ada/lab?reset", {"Sec-CH-UA-Mobile": "?1"}, "/user/ada/tree?reset"),
        ("/user/ada/lab", {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}, None),
        ("/user/ada/lab/api/settings", PHONES, None),
        ("/user/ada/lab", {**PHONES, "Referer": "https://hub.test/user/ada/notebooks/lab1.ipynb"}, None),
    ],
)
def test_phone_gets_the_notebook_view(
    course_python: str, address: str, headers: dict[str, str], expected: str | None
) -> None:
    """Unless the user chose Lab in Notebook's menu."""
    assert said(course_python, PHONE, json.dumps([address, headers, "/user/ada/"])) == expected


NEWER = """
import json
from class_lab import newer
print(json.dumps(newer.is_newer(sys.argv[2], sys.argv[3])))
"""


def test_newer_packages_are_noticed(course_python: str, tmp_path: Path) -> None:
    """The environment that the link leads to is another one than the running server's."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    link = tmp_path / "env"
    link.symlink_to("old")
    assert said(course_python, NEWER, str(link), str(tmp_path / "old")) is False
    link.unlink()
    link.symlink_to("new")
    assert said(course_python, NEWER, str(link), str(tmp_path / "old")) is True
    link.unlink()
    assert said(course_python, NEWER, str(link), str(tmp_path / "old")) is False
    assert said(course_python, NEWER, "", str(tmp_path / "old")) is False


SCHEMAS = """
import json
from pathlib import Path
from jupyterlab_server import settings_utils
checked = []
class Counting(settings_utils.Validator):
    @classmethod
    def check_schema(cls, schema):
        checked.append(1)
        super().check_schema(schema)
settings_utils.Validator = Counting
from class_server import schemas
share = Path(sys.argv[2])
def settings():
    return settings_utils.get_settings(str(share), str(share / "lab/schemas"), "/nonexistent", labextensions_path=[])
schemas.check_once()
schemas.check_once()
settings(), settings()
first = len(checked)
schemas.check_all(share)
second = len(checked)
(share / "lab/schemas/one/a.json").write_text('{"type": 7}')
try:
    settings()
    error = ""
except Exception as problem:
    error = str(problem)
print(json.dumps([first, second, len(checked), error, bool(settings_utils.Validator({"type": "object"}).is_valid({}))]))
"""


def test_schemas_of_lab_are_checked_once(course_python: str, tmp_path: Path) -> None:
    """All of them, those of extensions too; one that changed is checked again, and a wrong one is refused as ever."""
    for place in ("lab/schemas/one/a.json", "lab/schemas/one/b.json", "labextensions/x/schemas/x/c.json"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"type": "object", "title": place, "properties": {}}), encoding="utf-8")
    for place in ("lab/schemas/one", "labextensions/x/schemas/x"):
        (tmp_path / place / "package.json.orig").write_text("{}", encoding="utf-8")
    first, second, last, error, works = said(course_python, SCHEMAS, str(tmp_path))
    assert (first, second, last) == (2, 3, 4)
    assert "Failed validating schema" in error
    assert works
