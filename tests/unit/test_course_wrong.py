"""A wrong value for each key of the course file, and the exact line that the teacher reads."""

from __future__ import annotations

import copy
import datetime
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from runner import course
from runner.course import reference, schema
from runner.course.problems import find
from runner.course.source import Source
from runner.course.writing import compose, flow
from runner.errors import CoursehubError
from runner.project import Project
from tests.support.wrong_backups import BELOW, WRONG_BACKUPS
from tests.support.wrong_idle import WRONG_IDLE
from tests.support.wrong_material import WRONG_MATERIAL
from tests.support.wrong_people import WRONG_PEOPLE
from tests.support.wrong_words import EMAIL, HOST, LIST, TEXT

pytestmark = pytest.mark.unit

AMOUNT = "must be an amount such as 512M or 2G; correct it"
PACKAGE = "must be a package with an optional version, such as numpy or 'numpy>=2,<3'; correct it"
SLUG = "must be one of the cloud's names, such as s-4vcpu-8gb or sfo3; correct it"
MODULE = "must be a module as Python's import takes it, such as numpy or matplotlib.pyplot; correct it"
PICTURE = "must be the name of a picture in pillar/files/logos/ that ends in .png, .jpg, .webp or .gif; correct it"
PLACE = "must be a name such as index.example.org or *.example.edu, or a network such as 192.0.2.0/24; correct it"
CAMPUS = "must be a network such as 10.20.0.0/16; correct it"
CLOUDS = ", ".join(get_args(course.Course.model_fields["cloud"].annotation))
IMAGES = "debian-13-x64, debian-12-x64, ubuntu-24-04-x64"

#: Key: wrong values, each with its message. "[]" is an entry of a list, ROLE each list of people.
WRONG: dict[str, list[tuple[Any, str]]] = {
    **WRONG_BACKUPS,
    **WRONG_IDLE,
    **WRONG_MATERIAL,
    **WRONG_PEOPLE,
    "network": [("closed", f"network ('closed'): {BELOW}")],
    "network.only": [
        ("index.example.org", f"network.only ('index.example.org'): {LIST}"),
        (["https://index.example.org"], f"network.only.1 ('https://index.example.org'): {PLACE}"),
    ],
    "network.campus": [(["mirror.example.edu"], f"network.campus.1 ('mirror.example.edu'): {CAMPUS}")],
    "title": [
        (114, f"title (114): {TEXT.replace('; correct', '; put it in quotes; correct')}"),
        ("two\tcolumns", f"title ('two\\tcolumns'): {TEXT}"),
        (" ", f"title (' '): {TEXT}"),
        (["a"], f"title: {TEXT}"),
        (datetime.date(2026, 9, 1), f"title (2026-09-01): {TEXT.replace('; correct', '; put it in quotes; correct')}"),
    ],
    "domain": [
        ("https://a.example.edu/", f"domain ('https://a.example.edu/'): {HOST}"),
        ("Example.edu", f"domain ('Example.edu'): {HOST}"),
        ("localhost", f"domain ('localhost'): {HOST}"),
    ],
    "www": [("no", "www ('no'): must be true or false; correct it"), (1, "www (1): must be true or false; correct it")],
    "pdf": [("no", "pdf ('no'): must be true or false; correct it"), (1, "pdf (1): must be true or false; correct it")],
    "contact": [("professor", f"contact ('professor'): {EMAIL}")],
    "cloud": [
        ("digitalocaen", f"cloud ('digitalocaen'): must be one of {CLOUDS}; did you mean digitalocean?"),
        ("aws", f"cloud ('aws'): must be one of {CLOUDS}; correct it"),
    ],
    "dns": [("hand", "dns ('hand'): must be one of cloud, manual; correct it")],
    "region": [("San Francisco", f"region ('San Francisco'): {SLUG}")],
    "size": [
        ("8GB", f"size ('8GB'): {SLUG}"),
        (8, f"size (8): {SLUG.replace('; correct', '; put it in quotes; correct')}"),
    ],
    "image": [
        ("debian-13", f"image ('debian-13'): must be one of {IMAGES}; did you mean debian-13-x64?"),
        ("windows", f"image ('windows'): must be one of {IMAGES}; correct it"),
    ],
    "timezone": [
        ("Europe/Berlim", "timezone ('Europe/Berlim'): not a time zone; did you mean Europe/Berlin?"),
        ("UTC+1", "timezone ('UTC+1'): must be a time zone such as America/Los_Angeles; correct it"),
    ],
    "limits": [("much", f"limits ('much'): {BELOW}")],
    "limits.memory": [("lots", f"limits.memory ('lots'): {AMOUNT}"), (512, f"limits.memory (512): {AMOUNT}")],
    "limits.cpu": [
        ("fast", "limits.cpu ('fast'): must be a number above 0 to 64; correct it"),
        (0, "limits.cpu (0): must be a number above 0 to 64; correct it"),
        (65, "limits.cpu (65): must be a number above 0 to 64; correct it"),
    ],
    "limits.disk": [("lots", f"limits.disk ('lots'): {AMOUNT}"), (2, f"limits.disk (2): {AMOUNT}")],
    "limits.tasks": [
        (12, "limits.tasks (12): must be a whole number from 64 to 32768; correct it"),
        (64.5, "limits.tasks (64.5): must be a whole number from 64 to 32768; correct it"),
    ],
    "term": [("autumn", "term ('autumn'): must be a group of keys below it; correct it")],
    "term.first": [(9, "term.first (9): must be a day such as 2026-09-21 (year, month, day); correct it")],
    "term.last": [(2026, "term.last (2026): must be a day such as 2026-09-21 (year, month, day); correct it")],
    "isolation": [("path", "isolation ('path'): must be one of subdomains, paths; did you mean paths?")],
    "upload_limit": [("100 MB", f"upload_limit ('100 MB'): {AMOUNT}")],
    "timetable": [
        (["Monday 9"], "timetable.1 ('Monday 9'): must be a day and a time such as Mon 09:00; correct it"),
    ],
    "packages": [
        ("numpy", f"packages ('numpy'): {LIST}"),
        (["numpy", "pandas; rm -rf /"], f"packages.2 ('pandas; rm -rf /'): {PACKAGE}"),
        (["git+https://example.edu/x.git"], f"packages.1 ('git+https://example.edu/x.git'): {PACKAGE}"),
    ],
    "extensions": [
        ("jupyterlab-git", f"extensions ('jupyterlab-git'): {LIST}"),
        (["@jupyterlab/git"], f"extensions.1 ('@jupyterlab/git'): {PACKAGE}"),
    ],
    "kernels": [
        ("r", f"kernels ('r'): {LIST}"),
        (["r", "octav"], "kernels.2 ('octav'): must be one of r, octave; did you mean octave?"),
        (["julia"], "kernels.1 ('julia'): must be one of r, octave; correct it"),
    ],
    "apt": [
        ("graphviz", f"apt ('graphviz'): {LIST}"),
        (
            ["Graphviz; reboot"],
            "apt.1 ('Graphviz; reboot'): must be the name of a Debian package, such as graphviz; correct it",
        ),
    ],
    "imports": [
        ("numpy", f"imports ('numpy'): {LIST}"),
        (None, f"imports: {LIST.removesuffix('correct it')}there is no value, so give one or remove the line"),
        (["os; import sys"], f"imports.1 ('os; import sys'): {MODULE}"),
    ],
    "page": [("Welcome", f"page ('Welcome'): {BELOW}")],
    "page.message": [
        (7, "page.message (7): must be text of 1 to 1000 characters, without tabs; put it in quotes; correct it"),
        ("", "page.message (''): must be text of 1 to 1000 characters, without tabs; correct it"),
    ],
    "page.help": [(["a", "b"], f"page.help: {TEXT}")],
    "page.logo": [
        ("crest.svg", f"page.logo ('crest.svg'): {PICTURE}"),
        ("../../secrets/x.png", f"page.logo ('../../secrets/x.png'): {PICTURE}"),
    ],
}
#: Rules beyond patterns, which a JSON schema cannot express.
ONLY_OURS = (
    "not a time zone",
    "belongs to the system",
    "mixed up with teams",
    "for something else",
    "must be one line of text",
)
ROLES = tuple((schema.node_at(("course", "people")) or {})["properties"])
EXAMPLE = yaml.safe_load(reference.example())["course"]


def written(path: tuple[str, ...]) -> str:
    """A key's path in the form of the table above."""
    shown = ".".join(path[1:]).replace(".[]", "[]")
    for role in ROLES:
        shown = shown.replace(f"people.{role}", "people.ROLE")
    return shown


def cases() -> list[Any]:
    found = []
    for key, values in WRONG.items():
        for role in ROLES if "ROLE" in key else ("",):
            for value, says in values:
                name = key.replace("ROLE", role)
                found.append(pytest.param(name, value, says.replace("ROLE", role), id=f"{name}={value!r}"[:60]))
    return found


def with_value(key: str, value: Any) -> dict[str, Any]:
    """The example of all keys with another value for one."""
    choices = copy.deepcopy(EXAMPLE)
    *above, last = key.replace("[]", ".0").split(".")
    place: Any = choices
    for part in above:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value
    return choices


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pillar" / "courses").mkdir(parents=True)
    return Project(tmp_path)


def test_no_key_lacks_a_wrong_value() -> None:
    keys = {written(path) for path, _ in schema.walk()} - {""}
    assert keys - set(WRONG) == set(), "add a wrong value, and the line that the teacher reads, to WRONG"
    assert set(WRONG) - keys == set(), "these keys are gone"


@pytest.mark.parametrize(("key", "value", "says"), cases())
def test_a_wrong_value_is_this_line(project: Project, key: str, value: Any, says: str) -> None:
    choices = with_value(key, value)
    text = compose("phys1", choices)
    project.course_file("phys1").write_text(text, encoding="utf-8")
    last = key.rsplit(".", maxsplit=1)[-1]
    # As the writer prints it: alone, in braces, or as an entry of a list.
    typed, within = flow(value), flow({last: value})[1:-1]
    entry = f"- {flow(value[-1])}" if isinstance(value, list) else None
    lines = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() in (f"{last}: {typed}", f"- {last}: {typed}", entry)
        or re.search(re.escape(within) + r"[,}]", line)
    ]
    assert len(lines) == 1, (within, text)
    (problem,) = find(Source(project.course_file("phys1"), "pillar/courses/phys1.sls"))
    assert str(problem) == f"pillar/courses/phys1.sls:{lines[0]}: {says}"
    with pytest.raises(CoursehubError) as caught:
        course.load(project, "phys1")
    assert (str(caught.value), caught.value.exit_code) == (str(problem), 2)


@pytest.mark.parametrize(("key", "value", "says"), cases())
def test_an_editor_marks_it_too(key: str, value: Any, says: str) -> None:
    if any(ours in says for ours in ONLY_OURS) and isinstance(value, str):
        return
    errors = list(jsonschema.Draft7Validator(schema.course_schema()).iter_errors({"course": with_value(key, value)}))
    assert errors
    where = key.replace("[]", ".0").split(".")
    # Of a value that may be written in several ways, the errors of each way are in the context.
    errors += [below for error in errors for below in error.context or ()]
    found = [[str(part) for part in error.absolute_path][1:] for error in errors]
    assert any(path[: len(where)] == where for path in found), found


@pytest.mark.parametrize("path", [path for path, _ in schema.walk()], ids=".".join)
def test_a_key_that_must_be_given_is_missed(project: Project, path: tuple[str, ...]) -> None:
    above = schema.node_at(tuple(0 if part == "[]" else part for part in path[:-1])) or {}
    if path[-1] not in above.get("required", []) or path == ("course",):
        return
    choices = copy.deepcopy(EXAMPLE)
    place: Any = choices
    for part in path[1:-1]:
        place = place[0 if part == "[]" else part]
    del place[path[-1]]
    project.course_file("phys1").write_text(compose("phys1", choices), encoding="utf-8")
    source = Source(project.course_file("phys1"), "pillar/courses/phys1.sls")
    (problem,) = find(source)
    where = tuple(0 if part == "[]" else part for part in path[:-1])
    assert problem.line == source.line(where)
    shown = ".".join("1" if part == "[]" else part for part in path[1:])
    assert problem.message.startswith(f"{shown} is missing; add it, such as {path[-1]}: ")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  timezone:", "  timezoen:", "unknown key timezoen; did you mean timezone?"),
        ("    memory:", "    mem:", "unknown key limits.mem; did you mean memory?"),
        ("  timezone:", "  memory: 1G\n  timezone:", "unknown key memory; it belongs below limits:"),
        ("  timezone:", "  students: []\n  timezone:", "unknown key students; it belongs below people:"),
        ("  timezone:", "  xyzzy: 1\n  timezone:", "unknown key xyzzy; the keys here are title, domain, www, "),
        ("course:", "title: x\ncourse:", "unknown key title; it belongs below course:"),
        ("  title:", "  titel:", "unknown key titel; did you mean title?"),
        ("    cpu:", "\tcpu:", "a tab; indent with spaces"),
        ("  region: nyc3", "  region: nyc3\n  region: sfo3", "region is there twice"),
    ],
)
def test_keys_that_do_not_exist(project: Project, old: str, new: str, says: str) -> None:
    text = compose("phys1", EXAMPLE)
    assert text.count(f"\n{old}") == 1
    project.course_file("phys1").write_text(text.replace(f"\n{old}", f"\n{new}"), encoding="utf-8")
    with pytest.raises(CoursehubError) as caught:
        course.load(project, "phys1")
    assert says in str(caught.value)
    assert "(and" not in str(caught.value)
    line = int(str(caught.value).split(":")[1])
    wrong = project.course_file("phys1").read_text(encoding="utf-8").splitlines()[line - 1]
    assert wrong.split(":")[0].strip() in new
