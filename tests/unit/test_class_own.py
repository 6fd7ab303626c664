"""A student's own packages: pip as in a course, in a temporary home and without a network."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

FILES = Path(__file__).resolve().parents[2] / "formulas/course_env/files"
#: Prints what class_own.place says about a home, as JSON.
ASK = """
import json, sys
sys.path.append(sys.argv[1])
from class_own.place import Place
place = Place.here()
print(json.dumps({"own": place.own(), "broken": place.broken(), "earlier": place.earlier()}))
"""


@dataclass(frozen=True)
class Student:
    """A home, and the environment variables of its kernels and terminals."""

    home: Path
    python: Path
    variables: dict[str, str]

    @property
    def packages(self) -> Path:
        return Path(self.variables["COURSEHUB_OWN"])

    def run(self, *argv: str, code: int = 0, **more: str) -> str:
        """A program's output on both streams."""
        done = subprocess.run(
            argv, env=self.variables | more, cwd=self.home, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def pip(self, *arguments: str, code: int = 0, **more: str) -> str:
        return self.run(str(self.python), "-m", "pip", *arguments, code=code, **more)

    def asked(self, **more: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads(self.run(str(self.python), "-I", "-c", ASK, str(FILES), **more))
        return found


@pytest.fixture
def student(course_python: str, tmp_path: Path) -> Student:
    environment = Path(course_python).parent.parent
    major_minor = next((environment / "lib").glob("python3.*")).name
    own = tmp_path / ".local/share/coursehub/packages" / environment.name
    variables = {
        "HOME": str(tmp_path),
        "PATH": f"{environment}/bin:/usr/bin:/bin",
        "COURSEHUB_ENV": str(environment),
        "COURSEHUB_OWN": str(own / "lib" / major_minor / "site-packages"),
        "PYTHONPATH": str(FILES / "class_own/site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Nothing listens there.
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
    }
    return Student(tmp_path, Path(course_python), variables)


def wheel(directory: Path, name: str, version: str = "1.0", body: str = "", needs: str = "") -> str:
    """A package with one module of the same name; ``needs`` are lines of its description."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", body)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{info}/RECORD", f"{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return str(path)


@pytest.mark.parametrize("typed", [["python", "-m", "pip"], ["python", "-u", "-m", "pip"], ["pip"]])
def test_own_package_is_found_after_the_courses(student: Student, typed: list[str]) -> None:
    said = student.run(*typed, "install", "--no-deps", wheel(student.home, "mine", body="word = 'mine'"))
    assert "only for you" in said
    assert student.run("python", "-c", "import mine; print(mine.word)").strip() == "mine"
    last = student.run("python", "-c", "import sys; print(sys.path[-1])").strip()
    assert last == str(student.packages)
    assert student.asked()["own"] == ["mine 1.0"]


def test_own_package_never_takes_a_courses_place(student: Student) -> None:
    """pip refuses it and names the course's version; if it is put there by hand, it is not imported."""
    wheel(student.home, "traitlets", "0.1")
    offered = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(student.home)}
    said = student.pip("install", "--no-deps", "traitlets==0.1", code=1, **offered)
    assert "The course has traitlets" in said
    student.packages.mkdir(parents=True, exist_ok=True)
    (student.packages / "traitlets.py").write_text("raise SystemExit('shadowed')")
    where = student.run("python", "-c", "import traitlets; print(traitlets.__file__)").strip()
    assert where.startswith(student.variables["COURSEHUB_ENV"])


def test_own_pth_files_run_nothing(student: Student) -> None:
    student.packages.mkdir(parents=True)
    (student.packages / "bad.pth").write_text("import os; os._exit(3)\n")
    (student.packages / "sitecustomize.py").write_text("import os; os._exit(4)\n")
    (student.packages / "usercustomize.py").write_text("import os; os._exit(5)\n")
    assert student.run("python", "-c", "print('up')").strip() == "up"


def test_server_itself_never_sees_own_packages(student: Student) -> None:
    """It starts without the variables that its programs get."""
    student.pip("install", "--no-deps", wheel(student.home, "mine"))
    bare = dict.fromkeys(("PYTHONPATH", "COURSEHUB_OWN"), "")
    said = student.run("python", "-c", "import mine", code=1, **bare)
    assert "ModuleNotFoundError" in said


def test_pip_of_another_environment_is_its_own(student: Student) -> None:
    """A virtual environment that a student makes is not affected."""
    student.run("/usr/bin/python3", "-m", "venv", "--without-pip", "other")
    said = student.run("other/bin/python", "-m", "pip", "--version", code=1)
    assert "No module named pip" in said


def test_closed_network_is_said_before_pip_tries(student: Student, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); from pathlib import Path; from class_own import pip; "
        "pip.COURSE = Path(sys.argv[2]); sys.exit(pip.main(['install', 'mine']))"
    )
    told = tmp_path / "told.json"
    told.write_text('{"closed": true, "help": "prof@example.edu"}')
    said = student.run("python", "-I", "-c", code, str(FILES), str(told), code=1)
    lines = said.strip().splitlines()
    assert lines == [
        "This course's network is closed, and 127.0.0.1 is not on its list: pip installs nothing. "
        "Ask for it: prof@example.edu"
    ]


def test_index_that_is_away_is_named(student: Student) -> None:
    assert "127.0.0.1 does not answer" in student.pip("install", "mine", code=1)


def test_a_package_that_is_not_whole_is_named(student: Student) -> None:
    for name in ("gone", "whole", "bare"):
        student.pip("install", "--no-deps", wheel(student.home, name))
    (student.packages / "gone/__init__.py").unlink()
    (student.packages / "bare-1.0.dist-info/METADATA").unlink()
    (student.packages / "~alf").mkdir()
    assert student.asked()["broken"] == [
        "alf: half removed",
        "bare: its description is missing",
        "gone: 1 of its files are missing, gone/__init__.py first",
    ]


def test_package_whose_needs_are_not_met_is_named(student: Student) -> None:
    """Somebody removed, or installed without it, what the package imports."""
    lines = {
        "alone": "Requires-Dist: nowhere-to-be-found>=1\n",
        "old": "Requires-Dist: pip<1\n",
        "fine": 'Requires-Dist: pip>=1\nRequires-Dist: a; extra == "more"\nRequires-Dist: b; python_version < "3"\n',
    }
    for name, needs in lines.items():
        student.pip("install", "--no-deps", wheel(student.home, name, needs=needs))
    have = student.run("python", "-c", "import pip; print(pip.__version__)").strip()
    assert student.asked()["broken"] == [
        "alone: needs nowhere-to-be-found, which is not installed",
        f"old: needs pip <1, but {have} is installed",
    ]


def test_package_that_cannot_be_imported_harms_only_its_import(student: Student) -> None:
    """Python starts, pip works, the package is not called incomplete, and its own error shows at the import."""
    for name, body in {"bad": "raise RuntimeError('of bad')", "fatal": "import os; os._exit(3)"}.items():
        student.pip("install", "--no-deps", wheel(student.home, name, body=body))
    assert student.run("python", "-c", "import json; print(6 * 7)").strip() == "42"
    assert "RuntimeError: of bad" in student.run("python", "-c", "import bad", code=1)
    student.run("python", "-c", "import fatal", code=3)
    assert student.asked() == {"own": ["bad 1.0", "fatal 1.0"], "broken": [], "earlier": []}


def test_packages_of_an_earlier_environment_are_named(student: Student) -> None:
    student.pip("install", "--no-deps", wheel(student.home, "mine"))
    here = student.packages.parents[2]
    here.rename(here.with_name("0123456789ab"))
    assert student.asked() == {"own": [], "broken": [], "earlier": ["mine==1.0"]}
    student.pip("install", "--no-deps", wheel(student.home, "mine"))
    assert student.asked()["earlier"] == []


def test_reset_removes_all_and_no_file_behind_a_link(student: Student) -> None:
    student.pip("install", "--no-deps", wheel(student.home, "mine"))
    reset = "import sys; sys.path.append(sys.argv[1]); from class_own.place import Place; Place.here().reset()"
    places = student.home / ".local/share/coursehub/packages"
    student.run(str(student.python), "-I", "-c", reset, str(FILES))
    assert not places.exists()
    other = student.home / "other"
    other.mkdir()
    (other / "kept").touch()
    places.symlink_to(other)
    student.run(str(student.python), "-I", "-c", reset, str(FILES))
    assert not places.is_symlink()
    assert (other / "kept").exists()
    # Again, when there is nothing to reset.
    student.run(str(student.python), "-I", "-c", reset, str(FILES))
