"""``rollover``: the next term's course file, and what happens to this term's work first."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runner.cloud import Server
from runner.errors import CoursehubError
from runner.project import Project
from runner.secrets import Secrets
from runner.secrets.vault import Vault
from runner.verbs import archive, keeping, rollover
from tests.support.course_text import set_value

pytestmark = pytest.mark.unit


def course(project: Project, course_id: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(project.course_file(course_id).read_text())["course"]
    return found


@pytest.mark.usefixtures("api")
def test_choices_stay_and_the_class_goes(coursehub: Any, project: Project) -> None:
    set_value(project, "  page:", "  term: {first: 2026-09-21, last: 2026-12-11}\n  page:")
    Vault(project).ensure_key()
    Secrets(project, "phys").set("oauth-client-secret", "s3cret")
    ended = coursehub("rollover", "phys", "phys-27", "--title", "Physics 27")
    assert ended.code == 0, ended
    old, new = course(project, "phys"), course(project, "phys-27")
    assert new["title"] == "Physics 27"
    assert new["people"] == {"professors": old["people"]["professors"], "assistants": [], "students": []}
    assert "term" not in new
    assert "message" not in new["page"]
    for key in ("domain", "size", "packages", "limits", "timezone"):
        assert new[key] == old[key]
    assert Secrets(project, "phys-27").get("oauth-client-secret") == "s3cret"
    assert "term: the old dates are left out" in ended.out
    assert "then: ./coursehub down phys and ./coursehub validate phys-27 and ./coursehub up phys-27" in ended.out


@pytest.mark.usefixtures("api")
def test_backups_of_two_terms_need_places_of_their_own(coursehub: Any, project: Project) -> None:
    """In one place, the small backups of a term's first days would look like those of a server that was not filled."""
    places = "  backup:\n    targets: [{name: disk, kind: directory, path: /backups/phys}]\n  page:"
    set_value(project, "  page:", places)
    ended = coursehub("rollover", "phys", "phys-27")
    assert ended.code == 0, ended
    assert "backup: its places are still those of phys" in ended.out
    assert "/backups/phys-27" in ended.out


@pytest.mark.usefixtures("api")
def test_professor_of_an_encrypted_class_list_stays(coursehub: Any, project: Project) -> None:
    professors = course(project, "phys")["people"]["professors"]
    assert coursehub("roster", "encrypt", "phys").code == 0
    assert coursehub("rollover", "phys", "phys-27").code == 0
    assert [one["account"] for one in course(project, "phys-27")["people"]["professors"]] == [professors[0]["account"]]


def test_taken_name_is_refused_before_anything_is_archived(coursehub: Any, project: Project) -> None:
    project.course_file("phys-27").write_text("mine")
    ended = coursehub("rollover", "phys", "phys-27")
    assert ended.code == 2
    assert "phys-27.sls is there already" in ended.line
    assert project.course_file("phys-27").read_text() == "mine"


@pytest.fixture
def standing(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A server stands, with work on it. The list gets what is done there."""
    did: list[str] = []
    server = Server(7, "phys", "192.0.2.1", "s-1vcpu-1gb", "debian-13-x64", "nyc3", "active")

    class Standing:
        course_id, cloud, access = "phys", None, None

        def server(self) -> Server:
            return server

    def make(*_: Any) -> Any:
        did.append("archive")
        return project.root / "archives/phys/now", None

    monkeypatch.setattr(rollover, "nothing_here", lambda *_: False)
    monkeypatch.setattr(rollover, "visit", lambda *_: Standing())
    monkeypatch.setattr(rollover.droplets, "found", lambda *_: [server])
    monkeypatch.setattr(archive, "is_current", lambda *_: None)
    monkeypatch.setattr(keeping, "has_work", lambda *_: True)
    monkeypatch.setattr(archive, "make", make)
    return did


def test_work_is_archived_first(coursehub: Any, project: Project, standing: list[str]) -> None:
    ended = coursehub("rollover", "phys", "phys-27")
    assert ended.code == 0
    assert standing == ["archive"]
    assert "everything of phys is archived in archives/phys/now" in ended.out
    assert project.course_file("phys-27").exists()


def test_current_archive_is_enough(coursehub: Any, standing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "is_current", lambda *_: "archives/phys/yesterday")
    assert "archived in archives/phys/yesterday" in coursehub("rollover", "phys", "phys-27").out
    assert standing == []


def test_no_file_without_an_archive(
    coursehub: Any, project: Project, standing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise CoursehubError("archives/phys: an archive of phys may need 3 GB")

    monkeypatch.setattr(archive, "make", full)
    ended = coursehub("rollover", "phys", "phys-27")
    assert ended.code == 1
    assert "may need 3 GB; then run this again, or leave the class's work where it is: --discard" in ended.line
    assert not project.course_file("phys-27").exists()
    assert coursehub("rollover", "phys", "phys-27", "--discard-student-work").code == 0
    assert standing == []
