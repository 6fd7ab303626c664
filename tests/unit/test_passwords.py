"""First passwords on paper."""

from __future__ import annotations

import csv
import html
import io
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from runner import course as courses
from runner.cloud import Server
from runner.console import Steps
from runner.errors import CoursehubError
from runner.people.passwords import Card, Passwords, as_page, as_table
from runner.project import Project
from runner.servers.access import Access, HostKeyRefused, KeyPair, ssh_error
from runner.servers.claim import claim
from runner.session import Session, notes
from runner.verbs import passwords as verb

pytestmark = pytest.mark.unit

SERVER = Server(7, "phys1.example.edu", "192.0.2.7", "s-1vcpu-1gb", "debian-13-x64", "fra1", "active")
COURSE = """\
#!yaml
course:
  title: "Physics <1>"
  domain: phys1.example.edu
  contact: prof@example.edu
  people:
    professors: [{account: curie, name: "Marie <script>alert(1)</script>"}]
    students: [{account: ann, name: "=HYPERLINK(1)"}, {account: ben, name: Ben Ito}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "root")
    made.courses.mkdir(parents=True)
    made.course_file("phys").write_text(COURSE)
    return made


def test_the_sheet_has_a_card_for_each_and_is_nobody_elses(project: Project) -> None:
    made = verb.sheet(project, "phys", as_csv=False)
    path = Path(made["file"])
    page = path.read_text(encoding="utf-8")
    assert (made["people"], page.count("<article>")) == (3, 3)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.is_relative_to(project.state)
    for account, password in Passwords(project, "phys").read().items():
        assert f">{account}</dd>" in page
        assert f"<dd>{password.clear}</dd>" in page
        assert password.hash not in page
    assert "https://phys1.example.edu/" in page
    assert "<script>" not in page
    assert html.escape("Physics <1>") in page


def test_new_has_only_those_that_no_sheet_had(project: Project) -> None:
    """A late student comes after the sheet was printed."""
    verb.sheet(project, "phys", as_csv=False)
    assert verb.sheet(project, "phys", as_csv=True, only_new=True)["people"] == 0
    late = COURSE.replace("{account: ben, name: Ben Ito}", "{account: ben, name: Ben Ito}, {account: zoe, name: Zoë L}")
    project.course_file("phys").write_text(late)
    made = verb.sheet(project, "phys", as_csv=True, only_new=True)
    rows = csv.DictReader(io.StringIO(Path(made["file"]).read_text(encoding="utf-8-sig"), newline=""))
    assert [row["account"] for row in rows] == ["zoe"]
    (line,) = verb.sheet_lines(made)
    assert (
        line == f"phys: 1 new first password in {made['file']}; print the sheet, hand out the slips and delete the file"
    )
    (again,) = verb.sheet_lines(verb.sheet(project, "phys", as_csv=True, only_new=True))
    assert "everybody's first password was printed already" in again


def test_apply_notes_who_has_no_slip_yet(project: Project) -> None:
    """Nothing before the first sheet; then those who came later."""
    path = project.course_file("phys")

    def noted() -> list[str]:
        course = courses.load(project, "phys")
        assert course.people
        facts = {"project": project, "course_id": "phys", "course": course, "people": course.people}
        return notes._late_passwords(cast(Session, SimpleNamespace(**facts)))

    assert noted() == []
    verb.sheet(project, "phys", as_csv=False)
    assert noted() == []
    late = "{account: ben, name: Ben Ito}, {account: zoe, name: Z}"
    path.write_text(COURSE.replace("{account: ben, name: Ben Ito}", late))
    assert noted() == ["zoe has a first password that was not printed yet; 'coursehub passwords phys --new' prints it"]
    path.write_text(COURSE.replace("{account: ben, name: Ben Ito}", f"{late}, {{account: yan, name: Y}}"))
    assert noted() == [
        "2 people have a first password that was not printed yet; 'coursehub passwords phys --new' prints them"
    ]


def test_an_older_password_file_is_still_read(project: Project) -> None:
    store = Passwords(project, "phys")
    store.path.parent.mkdir(parents=True, exist_ok=True)
    store.path.write_text("account,password,hash\nann,abc,$6$x\n")
    assert (store.read()["ann"].clear, store.not_handed_out(["ann", "new"])) == ("abc", ["ann", "new"])


def test_cards_of_namesakes_say_who_is_who(project: Project) -> None:
    people = "[{account: a, name: Jo Lee, email: jo1@x.edu}, {account: b, name: jo lee, number: '77'}]"
    project.course_file("phys").write_text(COURSE.split("    students:", maxsplit=1)[0] + f"    students: {people}\n")
    page = Path(verb.sheet(project, "phys", as_csv=False)["file"]).read_text(encoding="utf-8")
    assert "<p>jo1@x.edu · Physics &lt;1&gt;</p>" in page
    assert "<p>77 · Physics &lt;1&gt;</p>" in page


CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to print with")
@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_ten_cards_fit_on_a_page_and_no_line_breaks(tmp_path: Path, paper: str) -> None:
    """24 people need three pages, even with the longest names, accounts and addresses."""
    cards = [Card("Maximiliane Theodora von und zu Hohenstein " * 3, "a" * 32, "abcd-efgh-ijkm", "x@example.edu")]
    cards += [Card(f"Student {number}", f"student{number}", "abcd-efgh-ijkm") for number in range(23)]
    url = "https://engineering-programming.physics.example.edu/"
    page = as_page(cards, title="ENGR 114: Engineering Programming with Python " * 4, url=url)
    page = page.replace("@page { margin", f"@page {{ size: {paper}; margin")
    (tmp_path / "sheet.html").write_text(page, encoding="utf-8")
    argv = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/chromium"]
    printed = tmp_path / "sheet.pdf"
    argv += ["--no-pdf-header-footer", f"--print-to-pdf={printed}", str(tmp_path / "sheet.html")]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    assert len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes())) == 3


def test_what_is_handed_out_is_no_other_courses(project: Project) -> None:
    """Ids of courses and accounts contain dashes: demo-sheet has a store, a-b + c and a + b-c are two people."""
    for course, account in (("a", "b-c"), ("a-b", "c"), ("a-sheet", "ann")):
        project.course_file(course).write_text(COURSE.replace("account: ann", f"account: {account}"))
    store = Passwords(project, "a-sheet")
    store.ensure(["ann"])
    before = store.path.read_bytes()
    made = [verb.sheet(project, "a", as_csv=True)["file"]]
    made += [verb.reset(project, course, account, Steps())["file"] for course, account in (("a", "b-c"), ("a-b", "c"))]
    assert store.path.read_bytes() == before
    assert len(set(made)) == 3
    for path in map(Path, made):
        assert [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)] == [0o600, 0o700, 0o700]
        assert path.parent.parent == project.state / "sheets"


def test_the_table_is_no_formula(project: Project) -> None:
    made = verb.sheet(project, "phys", as_csv=True)
    rows = list(csv.DictReader(io.StringIO(Path(made["file"]).read_text(encoding="utf-8-sig"), newline="")))
    assert [row["account"] for row in rows] == ["curie", "ann", "ben"]
    assert rows[1]["name"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_every_beginning_of_a_formula_is_made_text(start: str) -> None:
    (_, row) = csv.reader(io.StringIO(as_table([Card(f"{start}1", "a", "b")]), newline=""))
    assert row[0].startswith("'")


def test_a_reset_keeps_everybody_elses_and_stays_off_the_screen(project: Project) -> None:
    verb.sheet(project, "phys", as_csv=True)
    before = Passwords(project, "phys").read()
    done = verb.reset(project, "phys", "ann", Steps())
    after = Passwords(project, "phys").read()
    assert after["ann"] != before["ann"]
    assert {key: value for key, value in after.items() if key != "ann"} == {
        key: value for key, value in before.items() if key != "ann"
    }
    assert not done["applied"]
    (line,) = verb.reset_lines(done)
    assert "coursehub apply phys" in line
    assert after["ann"].clear not in line
    assert Path(done["file"]).read_text() == f"ann\n{after['ann'].clear}\n"
    assert Path(done["file"]).stat().st_mode & 0o777 == 0o600


def test_a_reset_that_reached_no_server_says_why(project: Project) -> None:
    Access(project, "phys").remember(SERVER)
    done = verb.reset(project, "phys", "ann", Steps())
    assert (done["applied"], done["why"]) == (False, "phys has no server; run 'coursehub up phys'")
    assert "run 'coursehub up phys'" in verb.reset_lines(done)[0]


def test_a_reset_does_not_pass_over_a_secret_in_git(project: Project) -> None:
    project.course_file("phys").write_text(COURSE + "  cloud: digitalocean\n")
    Access(project, "phys").remember(SERVER)
    (project.root / "id").write_text(KeyPair.generate("x").private)
    for arguments in (("init", "-q"), ("add", "id")):
        subprocess.run(["git", *arguments], cwd=project.root, check=True)
    with pytest.raises(CoursehubError, match="id:1: a private key in clear") as caught:
        verb.reset(project, "phys", "ann", Steps())
    assert caught.value.exit_code == 2
    assert Path(caught.value.document["file"]).exists()


def test_a_reset_does_not_pass_over_another_host_key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    Access(project, "phys").remember(SERVER)

    def refused(*_: object) -> None:
        raise ssh_error("phys", "192.0.2.7", "Host key verification failed.")

    monkeypatch.setattr(verb, "_apply", refused)
    with pytest.raises(HostKeyRefused, match="shows another host key") as caught:
        verb.reset(project, "phys", "ann", Steps())
    assert not caught.value.document["applied"]


def test_a_reset_of_nobody_and_beside_another_verb(project: Project) -> None:
    with pytest.raises(
        CoursehubError, match="nobody in phys has the account zoe; look with 'coursehub roster show phys'"
    ):
        verb.reset(project, "phys", "zoe", Steps())
    with claim(project, "phys", "apply"), pytest.raises(CoursehubError, match="runs 'apply'"):
        verb.reset(project, "phys", "ann", Steps())


def test_where_somebody_else_vouches_there_are_no_passwords(project: Project) -> None:
    text = f"{COURSE}  signin:\n    kind: google\n    client_id: x.apps.googleusercontent.com\n"
    project.course_file("phys").write_text(text)
    for call in (
        lambda: verb.sheet(project, "phys", as_csv=False),
        lambda: verb.reset(project, "phys", "ann", Steps()),
    ):
        with pytest.raises(
            CoursehubError, match=r"phys.sls:10: people sign in by google, so nobody has a password here"
        ):
            call()
    assert not Passwords(project, "phys").path.exists()


def test_the_page_of_500_is_whole() -> None:
    page = as_page([Card(f"N {n}", f"a{n}", "x") for n in range(500)], title="T", url="https://x.edu/")
    assert page.count("<article>") == page.count("</article>") == 500
