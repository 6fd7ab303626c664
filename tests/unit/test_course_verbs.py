"""``new``, ``validate`` and ``schema`` as typed: what they write, print, and leave unchanged."""

from __future__ import annotations

import io
import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runner import course
from runner.course import schema
from runner.project import Project
from tests.support.typed import Ended, typed

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]
ANSWERS = {
    "--title": "Physik: #1 «Mechanik»",
    "--domain": "phys.coursehub.test",
    "--contact": "prof@example.edu",
    "--professor": "Zoë D'Arcy-O'Neill",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A working copy with the repository's courses; any use of the network or of another program fails."""
    for part in ("pillar", "formulas/course_env"):
        shutil.copytree(REPO / part, tmp_path / part)
    monkeypatch.setenv("COURSEHUB_ROOT", str(tmp_path))

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a course file needs no network and no other program")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(subprocess, "Popen", forbidden)
    return Project(tmp_path)


@pytest.fixture
def coursehub(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        ended = typed(monkeypatch, capsys, *arguments)
        assert not (project.root / ".coursehub").exists(), "nothing is kept, so nobody needs to be root"
        return ended

    return run


def flags(**changed: str | None) -> list[str]:
    answers = ANSWERS | {f"--{key}": value for key, value in changed.items()}
    return [part for key, value in answers.items() if value is not None for part in (key, value)]


def edit(project: Project, old: str, new: str, course_id: str = "demo") -> None:
    path = project.course_file(course_id)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_new_writes_a_file_that_is_good_and_explains_itself(coursehub: Any, project: Project) -> None:
    ended = coursehub("new", "phys1", *flags(packages="numpy, pandas>=2,<3,pint"))
    assert ended.code == 0, ended.err
    text = project.course_file("phys1").read_text(encoding="utf-8")
    made = course.load(project, "phys1")
    assert (made.title, made.domain) == (ANSWERS["--title"], ANSWERS["--domain"])
    assert made.packages == ["numpy", "pandas>=2,<3", "pint"]
    assert made.people is not None
    assert [(one.account, one.name) for one in made.people.everyone()] == [("darcyoneill", ANSWERS["--professor"])]
    lines = text.splitlines()
    assert lines[0] == "#!yaml"
    assert lines[1] == "# yaml-language-server: $schema=../courses.schema.json"
    for number, line in enumerate(lines):
        if line.startswith("  ") and not line.startswith("   ") and not line.startswith("  #"):
            assert lines[number - 1].startswith("  # "), f"{line} is not explained"
    assert len(lines) < 70, "short"
    jsonschema.Draft7Validator(schema.course_schema()).validate(yaml.safe_load(text))
    lint = [sys.executable, "-m", "yamllint", "-s", "-c", str(REPO / ".yamllint"), str(project.course_file("phys1"))]
    assert os.spawnv(os.P_WAIT, sys.executable, lint) == 0
    assert coursehub("validate", "phys1").code == 0


def test_new_from_an_old_course_keeps_choices_and_drops_people(coursehub: Any, project: Project) -> None:
    edit(project, "debian-13-x64", "debian-12-x64")
    ended = coursehub("new", "winter", "--from", "demo", "--domain", "winter.coursehub.test", "--json")
    assert ended.code == 0, ended.err
    before, after = (
        yaml.safe_load(project.course_file(name).read_text(encoding="utf-8"))["course"] for name in ("demo", "winter")
    )
    dropped = [person for role in ("assistants", "students") for person in before["people"].pop(role)]
    assert dropped
    text = project.course_file("winter").read_text(encoding="utf-8")
    assert [person for person in dropped if person["name"] in text or person["account"] in text] == []
    assert before["page"].pop("message")
    assert after.pop("people") == {**before.pop("people"), "assistants": [], "students": []}
    assert after == {**before, "domain": "winter.coursehub.test"}
    look_at = "\n".join(ended.document["look_at"])
    for word in (
        "people: ",
        "title: still that of demo",
        "image: the newest is debian-13-x64",
        "packages: ",
        "page.message: ",
    ):
        assert word in look_at
    assert "domain: " not in look_at
    assert coursehub("validate").code == 0


def test_a_course_whose_people_are_elsewhere_can_be_copied(coursehub: Any, project: Project) -> None:
    text = project.course_file("demo").read_text(encoding="utf-8")
    project.course_file("demo").write_text(text.split("  people:")[0], encoding="utf-8")
    own = ("--domain", "winter.coursehub.test")
    ended = coursehub("new", "winter", "--from", "demo", *own)
    assert (ended.code, ended.err.split(" must be")[0]) == (2, "coursehub: --professor")
    assert coursehub("new", "winter", "--from", "demo", "--professor", "Marie Curie", *own).code == 0
    assert coursehub("validate", "winter").code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", *flags()], "pillar/courses/demo.sls is there already; edit it, or take another name"),
        (["Phys 1", *flags()], "'Phys 1' cannot name a course"),
        (["../x", *flags()], "'../x' cannot name a course"),
        (["phys1"], "--title, --domain, --contact, --professor must be given; or run it in a terminal and it asks"),
        (["phys1", *flags(contact=None)], "--contact must be given"),
        (["phys1", *flags(domain="Phys")], "--domain ('Phys'): must be a full host name such as engr114.example.edu"),
        (["phys1", *flags(account="root")], "--account ('root'): this account belongs to the system"),
        (["phys1", *flags(professor="蕭 小明")], "--account (''): must be an account such as"),
        (["phys1", *flags(cloud="aws")], "--cloud ('aws'): must be one of local, digitalocean"),
        (["phys1", *flags(timezone="Berlin")], "--timezone ('Berlin'): not a time zone; did you mean Europe/Berlin?"),
        (["phys1", *flags(packages="numpy, x y")], "--packages ('x y'): must be a package"),
        (["phys1", *flags(title="{{ x }}")], "Jinja is not for course files"),
        (["phys1", "--from", "dmeo"], "did you mean demo?"),
        (
            ["phys1", "--from", "demo"],
            "--domain must be given: engr114.coursehub.test is the address of demo, and one address leads to one",
        ),
        (["phys1", "--from", "demo", "--domain", "x"], "--domain ('x'): must be a full host name"),
    ],
)
def test_a_wrong_answer_is_one_line_and_nothing_is_written(
    coursehub: Any, project: Project, arguments: list[str], says: str
) -> None:
    before = {path: path.read_bytes() for path in project.courses.iterdir()}
    ended = coursehub("new", *arguments)
    assert ended.code == 2
    assert says in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert ended.out == ""
    assert {path: path.read_bytes() for path in project.courses.iterdir()} == before


def at_a_terminal(root: Path, arguments: list[str], answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run ``coursehub`` at a terminal; each answer is typed when its question appears."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"COURSEHUB_ROOT": str(root), "PYTHONPATH": str(REPO), "TERM": "dumb", "COLUMNS": "200"}
        os.execv(sys.executable, [sys.executable, "-m", "runner", *arguments])
    seen, end = "", time.monotonic() + 60
    remaining = list(answers)
    mark = 0
    try:
        while time.monotonic() < end:
            try:
                part = os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # the other end is closed
                break
            if not part:
                break
            seen += part
            if remaining and remaining[0][0] in seen[mark:]:
                mark = len(seen)
                os.write(terminal, remaining.pop(0)[1].encode())
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert remaining == [], seen
    return os.waitstatus_to_exitcode(status), seen


@pytest.fixture
def plain(tmp_path: Path) -> Project:
    shutil.copytree(REPO / "pillar", tmp_path / "pillar")
    return Project(tmp_path)


def test_new_asks_at_a_terminal_and_asks_again(plain: Project) -> None:
    code, seen = at_a_terminal(
        plain.root,
        ["new", "phys1", "--contact", "p@example.edu"],
        [
            ("called?", "Physics 1\n"),
            ("will students type?", "https://phys\n"),
            ("will students type?", "phys.coursehub.test\n"),
            ("Your name", "Marie Curie\n"),
            ("(curie)", "\n"),
            ("email address at the college", "\n"),
            ("Where is the server", "locl\n"),
            ("did you mean local?", "\n"),
            ("How big", "\n"),
            ("time zone", "Europe/Paris\n"),
            ("packages?", "numpy, pint\n"),
        ],
    )
    assert code == 0, seen
    assert "must be a full host name" in seen
    made = course.load(plain, "phys1")
    assert (made.domain, made.cloud, made.timezone) == ("phys.coursehub.test", "local", "Europe/Paris")
    assert made.packages == ["numpy", "pint"]
    assert made.people is not None and made.people.professors[0].account == "curie"


def test_who_stops_answering_leaves_nothing(plain: Project) -> None:
    before = sorted(plain.courses.iterdir())
    code, seen = at_a_terminal(plain.root, ["new", "phys1"], [("called?", "Physics 1\n"), ("students type?", "\x04")])
    assert code == 1
    assert "Traceback" not in seen
    assert sorted(plain.courses.iterdir()) == before


def test_an_announcement_belongs_to_its_term(coursehub: Any, project: Project) -> None:
    text = project.course_file("demo").read_text(encoding="utf-8").split("\n  page:\n")
    after = text[1].split("\n  people:\n")[-1] if len(text) > 1 else text[0].split("\n  people:\n")[1]
    before = text[0].split("\n  people:\n")[0]
    page = '\n  page:\n    help: Room 12\n    message: "Lab 3:\\n#1 is due"\n'
    project.course_file("demo").write_text(f"{before}{page}  people:\n{after}", encoding="utf-8")
    assert course.load(project, "demo").page.message == "Lab 3:\n#1 is due"
    assert coursehub("new", "winter", "--from", "demo", "--domain", "winter.coursehub.test").code == 0
    made = course.load(project, "winter").page
    assert (made.message, made.help) == (None, "Room 12")


def test_the_repositorys_courses_are_good(coursehub: Any) -> None:
    ended = coursehub("validate")
    assert (ended.code, ended.err) == (0, "")
    assert "pillar/courses/demo.sls: good" in ended.out


def test_every_mistake_of_every_file_is_said(coursehub: Any, project: Project) -> None:
    edit(project, "cloud: local", "cloud: lokal")
    edit(project, "  timezone:", "  timezoen:")
    edit(project, "memory: 1G", "memory: 1")
    shutil.copy(project.course_file("demo"), project.course_file("other"))
    project.course_file("broken").write_text("course: [\n", encoding="utf-8")
    project.course_file("Bad Name").write_text("course: 1\n", encoding="utf-8")
    (project.courses / "wrong.yaml").write_text("course: 1\n", encoding="utf-8")
    ended = coursehub("validate")
    assert ended.code == 2
    lines = ended.out.splitlines()
    for file in ("demo", "other"):
        said = [line.partition(": ") for line in lines if line.startswith(f"pillar/courses/{file}.sls:")]
        text = project.course_file(file).read_text(encoding="utf-8").splitlines()
        assert [text[int(where.split(":")[1]) - 1].split(":")[0].strip() for where, _, _ in said] == [
            "cloud",
            "timezoen",
            "memory",
        ]
    assert any(line.startswith("pillar/courses/broken.sls:2: a bracket that opens here is not") for line in lines)
    assert any(line.startswith("pillar/courses/Bad Name.sls:1: ") for line in lines)
    assert any(line.startswith("pillar/courses/wrong.yaml:1: a course file's name ends in .sls") for line in lines)
    assert ended.err == "coursehub: 9 mistakes in 5 course files; correct them\n"


def test_the_document_has_it_all(coursehub: Any, project: Project) -> None:
    assert coursehub("validate", "demo", "--json").document == {
        "ok": True,
        "courses": [{"course": "demo", "file": "pillar/courses/demo.sls", "ok": True, "errors": []}],
        "errors": [],
    }
    edit(project, "cloud: local", "cloud: aws")
    ended = coursehub("validate", "--json")
    assert ended.code == 2
    (error,) = ended.document["courses"][0]["errors"]
    assert ended.document["ok"] is False
    assert (error["file"], error["key"]) == ("pillar/courses/demo.sls", "cloud")
    assert error["message"].startswith("cloud ('aws'): must be one of local, digitalocean")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("size: s-4vcpu-8gb", "size: s-4vcpu-8bg", "the local cloud does not have it; did you mean s-4vcpu-8gb?"),
        ("  size:", "  region: mars1\n  size:", "region ('mars1'): the local cloud does not have it; there are: nyc3"),
        ("debian-13-x64", "ubuntu-24-04-x64", "image ('ubuntu-24-04-x64'): the local cloud does not have it"),
        (
            "engr114.coursehub.test",
            "engr114.example.edu",
            "domain ('engr114.example.edu'): with cloud: local the address ends in .coursehub.test",
        ),
        ("packages: [numpy,", "packages: [numpy, astropy,", "run ./coursehub lock demo"),
        ("packages: [numpy,", 'packages: [numpy, "numpy>=2",', "numpy is listed twice"),
    ],
)
def test_what_up_would_refuse_is_found_before(coursehub: Any, project: Project, old: str, new: str, says: str) -> None:
    edit(project, old, new)
    ended = coursehub("validate", "demo")
    assert ended.code == 2
    (line,) = ended.out.splitlines()
    assert says in line
    number = int(line.split(":")[1])
    key = new.strip().partition(":")[0]
    text = project.course_file("demo").read_text(encoding="utf-8").splitlines()[number - 1]
    assert key in text or new in text


def test_two_courses_with_one_name_are_reported(coursehub: Any, project: Project) -> None:
    text = project.course_file("demo").read_text(encoding="utf-8")
    project.course_file("other").write_text(text, encoding="utf-8")
    lock = project.root / "pillar/files/locks"
    shutil.copy(lock / "demo.txt", lock / "other.txt")
    ended = coursehub("validate")
    assert ended.code == 2
    for mine, other in (("demo", "other"), ("other", "demo")):
        says = f"{mine}.sls:7: domain: engr114.coursehub.test is an address of another course too "
        says += f"(pillar/courses/{other}.sls:7)"
        assert says in ended.out
    edit(project, "domain: engr114", "domain: engr115", "other")
    assert coursehub("validate").code == 0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("other.png", b"\x89PNG\r\n\x1a\n", "pillar/files/logos/crest.png is not there; put it there"),
        ("crets.png", b"\x89PNG\r\n\x1a\n", "pillar/files/logos/crest.png is not there; did you mean crets.png?"),
        ("crest.png", b"<svg onload=x>", "pillar/files/logos/crest.png is not a picture of that kind"),
        ("crest.png", b"\x89PNG\r\n\x1a\n" + b"0" * 1_200_000, "has 1.2 MB; make it smaller than 1 MB"),
        ("crest.png", b"\x89PNG\r\n\x1a\n", ""),
    ],
)
def test_a_logo_is_a_picture_that_is_there(
    coursehub: Any, project: Project, name: str, content: bytes, says: str
) -> None:
    edit(project, "  page:\n", "  page:\n    logo: crest.png\n")
    project.logos.mkdir(exist_ok=True)
    (project.logos / name).write_bytes(content)
    ended = coursehub("validate", "demo")
    assert ended.code == (2 if says else 0)
    assert says in ended.out
    if says:
        number = int(ended.out.split(":")[1])
        lines = project.course_file("demo").read_text(encoding="utf-8").splitlines()
        assert lines[number - 1] == "    logo: crest.png"


def test_an_unknown_course_is_one_line(coursehub: Any) -> None:
    ended = coursehub("validate", "dmeo")
    assert (ended.code, ended.out) == (2, "")
    assert "did you mean demo?" in ended.err


def test_schema_is_printed_and_written(coursehub: Any, project: Project) -> None:
    assert coursehub("schema").document == schema.course_schema()
    (project.root / "docs").mkdir()
    (project.root / "pillar/courses.schema.json").write_text("{}", encoding="utf-8")
    assert coursehub("schema", "--write", "--json").document == {
        "written": ["pillar/courses.schema.json", "docs/course-file.md"]
    }
    assert (
        json.loads((project.root / "pillar/courses.schema.json").read_text(encoding="utf-8")) == schema.course_schema()
    )
    assert coursehub("schema", "--write").out == "nothing to write\n"
