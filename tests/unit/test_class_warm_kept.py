"""What modules of an image keep of the process and the person of its making, and how copies get their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.lesson import FILES
from tests.support.warm_images import make, run, works_here

pytestmark = [pytest.mark.unit, pytest.mark.skipif(not works_here(), reason="images are for x86-64")]

MODULES_OF_TESTS = {
    "keeps_home": "import os, pathlib, functools\nHOME = os.path.expanduser('~/x')\nclass Places:\n    path = "
    "pathlib.Path.home() / 'y'\n    names = [os.environ['USER'], (os.getcwd(),)]\n@functools.cache\ndef find():\n"
    "    return os.environ['HOME']\nfind()\ndef outer(found=os.environ['HOME']):\n    kept = found\n"
    "    return lambda: kept\ninner = outer()",
    "reads_own": "import os\nTOKEN = os.environ.get('JUPYTERHUB_API_TOKEN', 'none')",
    "takes_from_reader": "from reads_own import TOKEN",
    "sets_variable": "import os\nos.environ['SET_BY_MODULE'] = 'yes'",
    "asks_for_random_bytes": "import secrets\nKEY = secrets.token_hex(8)",
    "starts_a_thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    "shares_memory": "import mmap\nSHARED = mmap.mmap(-1, 4096)",
    "fails": "raise OSError('it fails')",
    "keeps_number": "import os\nPID = os.getpid()\nNAMES = {'parent': str(PID)}\nALL = [os.getpid(), 'x']\n"
    "class Kept:\n    number = (os.getpid(), f'{os.getpid()}')\nONE = Kept()\nONE.own = os.getpid()\n"
    "BY_NUMBER = {os.getpid(): 'x'}\nask = os.getpid",
    "has_a_constant": "import os\nSAME = os.readlink('/proc/self')",
    "hides_its_number": "import os\nSAME = [f'{os.getpid():d}', int(os.getpid())]",
    "keeps_its_number_in_a_set": "import os\nSEEN = {os.getpid()}",
    "has_generators": "import random\nDICE = random.Random(7)",
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with modules, each of which does something that images must know."""
    for name, content in MODULES_OF_TESTS.items():
        (tmp_path / f"{name}.py").write_text(content, encoding="utf-8")
    return tmp_path


def test_what_a_module_keeps_of_a_person_is_exchanged(course_python: str, place: Path) -> None:
    made = make(course_python, place / "i", "keeps_home", path=str(place))
    assert made.code == 0, made.said
    script = """
import keeps_home as m
print(m.HOME, m.Places.path, *m.Places.names, m.find(), m.inner(), m.outer()())
"""
    for person in ("amara", "ben"):
        said = made.says(script, HOME=f"/home/{person}", USER=person)
        home = f"/home/{person}"
        assert said == f"{home}/x {home}/y {person} ('{home}',) {home} {home} {home}"


def test_modules_that_read_a_persons_variable_are_imported_again(course_python: str, place: Path) -> None:
    """As those of JupyterHub, which decide who may enter; also one that took something from such a module."""
    made = make(course_python, place / "i", "takes_from_reader", "reads_own", path=str(place))
    assert made.code == 0, made.said
    script = f"import sys; sys.path.append({str(place)!r}); import reads_own, takes_from_reader\nprint(reads_own.TOKEN)"
    assert made.says(script, JUPYTERHUB_API_TOKEN="hers") == "hers"
    assert made.says("import sys; print('reads_own' in sys.modules, 'takes_from_reader' in sys.modules)") == (
        "False True"
    )


def test_variables_that_a_module_sets_are_set_in_copies(course_python: str, place: Path) -> None:
    made = make(course_python, place / "i", "sets_variable", path=str(place))
    assert made.says("import os; print(os.environ['SET_BY_MODULE'])") == "yes"


def test_number_of_a_process_that_a_module_keeps_is_exchanged(course_python: str, place: Path) -> None:
    made = make(course_python, place / "i", "keeps_number", path=str(place))
    assert made.code == 0, made.said
    script = """
import os, keeps_number as m
found = [m.PID, m.NAMES["parent"], m.ALL[0], *m.ONE.number, m.ONE.own, *m.BY_NUMBER, m.ask()]
print({str(one) for one in found} == {str(os.getpid())}, {type(one).__name__ for one in found} == {"int", "str"})
"""
    assert made.says(script) == "True True"


def test_constant_that_is_the_makers_number_stays(course_python: str, place: Path) -> None:
    made = make(course_python, place / "i", "has_a_constant", "keeps_number", path=str(place))
    assert made.code == 0, made.said
    script = "import os, has_a_constant as m; print(m.SAME, os.getpid())"
    (first, one), (second, other) = (made.says(script).split() for _ in range(2))
    assert first == second
    assert first not in (one, other)


def test_generators_of_modules_are_seeded_anew(course_python: str, place: Path) -> None:
    made = make(course_python, place / "i", "has_generators", path=str(place))
    assert len({made.says("import has_generators as m; print(m.DICE.random())") for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("asks_for_random_bytes", "the module asks_for_random_bytes uses random bytes"),
        ("starts_a_thread", "thread"),
        ("shares_memory", "shares memory"),
        ("fails", "it fails"),
        ("keeps_its_number_in_a_set", "a set of a package keeps a home directory, a name or the number of its process"),
        ("hides_its_number", "a constant or the number of its process"),
    ],
)
def test_no_image_of_what_copies_cannot_share(course_python: str, place: Path, name: str, why: str) -> None:
    made = make(course_python, place / "i", name, path=str(place))
    assert made.code == 1
    assert made.said.startswith("coursehub: no image of the script: ")
    assert why in made.said


#: Imports what the image of a server contains, and prints which modules of JupyterHub stay in it.
JUPYTERHUB = f"""
import json, os, sys
sys.path.append({str(FILES)!r})
from class_warm import kinds, personal
os.environ.update(HOME=f"/tmp/{{personal.MARK}}", USER=personal.MARK, LOGNAME=personal.MARK)
with personal.Watch() as watch:
    kinds.KINDS["server"].load([])
personal.forget(watch.readers_of_own())
print(json.dumps([name for name in sys.modules if name.startswith("jupyterhub")]))
"""


def test_what_of_jupyterhub_comes_from_the_image(course_python: str) -> None:
    """docs/decisions/warm-images.md names these modules."""
    done = run([course_python, "-P", "-c", JUPYTERHUB])
    assert done.returncode == 0, done.stderr
    found = set(json.loads(done.stdout))
    anew = {"jupyterhub.services.auth", "jupyterhub.singleuser", "jupyterhub.singleuser.extension"}
    assert not found & {*anew, "jupyterhub._xsrf_utils"}
    assert found >= {f"jupyterhub.{name}" for name in ("scopes", "utils", "httpclient", "metrics", "roles")}
