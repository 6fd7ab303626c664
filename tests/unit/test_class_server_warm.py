"""Which kernels start from the image: those of the course, where nothing of the student's would make a difference."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from class_server import starting

from tests.support.course_modules import inside
from tests.support.lesson import FILES

pytestmark = pytest.mark.unit

SCRIPT = """
import os
from class_server.kernels import FIRST_TO_GO
from class_server.warm import from_image
home, where = os.environ["HOME"], os.path.join(os.environ["HOME"], "lab")
os.makedirs(where, exist_ok=True)
ours = [*FIRST_TO_GO, sys.executable, "-P", "-m", "ipykernel_launcher", "-f", "k.json"]
command, environment = ours, {"HOME": home, "COURSEHUB_OWN": home + "/own"}
BEFORE
found = from_image("/var/cache/coursehub-warm/kernel.image", command, environment, where)
print(json.dumps([found == command, found[:len(FIRST_TO_GO)] == FIRST_TO_GO, found[-6:], ours[-6:]]))
"""


def start(python: str, home: Path, before: str = "pass") -> tuple[bool, list[str]]:
    """Whether the kernel starts as usual, and the end of its command."""
    same, first_to_go, end, ours = inside(python, SCRIPT.replace("BEFORE", before), HOME=str(home))
    assert same or (first_to_go and end == ours)
    return bool(same), end


def test_kernel_of_the_course_starts_from_the_image(course_python: str, tmp_path: Path) -> None:
    assert not start(course_python, tmp_path)[0]
    # An empty directory is no package.
    assert not start(course_python, tmp_path, "os.mkdir(home + '/own')")[0]
    # A module of the student's that has the name of one in the image is imported by neither: it comes last.
    assert not start(course_python, tmp_path, "open(where + '/numpy.py', 'w').close()")[0]


@pytest.mark.parametrize(
    "before",
    [
        "command = ['/usr/bin/R', '--slave', '-e', 'IRkernel::main()']",
        "command = [*FIRST_TO_GO, home + '/venv/bin/python', '-P', '-m', 'ipykernel_launcher']",
        "command = [*FIRST_TO_GO, sys.executable, '-m', 'octave_kernel']",
        "os.makedirs(home + '/own/torch')",
        "open(where + '/matplotlibrc', 'w').close()",
        "os.makedirs(home + '/.config/matplotlib/stylelib')",
        "os.makedirs(home + '/.local/share/fonts')",
        "open(home + '/own', 'w').close()",
    ],
    ids=["r", "own-environment", "octave", "own-package", "matplotlibrc", "styles", "fonts", "odd-file"],
)
def test_other_kernels_start_as_usual(course_python: str, tmp_path: Path, before: str) -> None:
    assert start(course_python, tmp_path, before)[0]


def decides(home: Path) -> bool:
    """Whether start-server uses the image."""
    text = (FILES / "start-server.sh").read_text(encoding="utf-8")
    lines = text[text.index("warm='") : text.index("{%- endif %}\n# What follows makes")]
    done = subprocess.run(
        ["/bin/sh", "-euc", f'{lines}\necho "$warm"'], env={"HOME": str(home), "PATH": os.defpath},
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    return "begin.py" in done.stdout


def test_start_after_a_failed_one_is_an_ordinary_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second one, until a server that serves has removed the mark."""
    assert [decides(tmp_path) for _ in range(4)] == [True, False, True, False]
    monkeypatch.setenv("HOME", str(tmp_path))
    for _ in range(3):
        assert decides(tmp_path)
        starting.came_up()
    # There was none.
    starting.came_up()


@pytest.mark.parametrize("odd", ["pipe", "directory", "file"])
def test_mark_that_a_student_made_stops_no_start(tmp_path: Path, odd: str) -> None:
    mark = tmp_path / starting.STARTING
    {"pipe": os.mkfifo, "directory": os.mkdir, "file": Path.touch}[odd](mark)
    # All its starts are ordinary ones.
    assert [decides(tmp_path) for _ in range(2)] == [False, False]
    assert mark.exists()


def test_start_is_an_ordinary_one_without_room_for_the_mark(tmp_path: Path) -> None:
    """A home that is full; here it is none at all."""
    assert not decides(tmp_path / "gone")
