"""Sign-in for teachers: the required keys of the course file, the provider's form, and people who could not sign in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import course as courses
from runner.course import CourseFile
from runner.errors import CoursehubError
from runner.project import Project
from runner.secrets import Secrets
from runner.setup import signin
from runner.verbs import courses as verbs
from runner.verbs import signin as verb
from tests.support.signin_kinds import PEOPLE, TENANT, WHOLE

pytestmark = pytest.mark.unit


def course_file(kind: str, people: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    facts = {name: value for name, value in {**WHOLE[kind], **changes}.items() if value is not None}
    return {
        "course": {
            "title": "Physics 1",
            "domain": "phys1.example.edu",
            "contact": "prof@example.edu",
            "signin": {"kind": kind, **facts},
            "people": people or PEOPLE,
        }
    }


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pillar" / "courses").mkdir(parents=True)
    return Project(tmp_path)


def write(project: Project, document: dict[str, Any]) -> None:
    project.course_file("phys1").write_text("#!yaml\n" + yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def pretend_secret(project: Project) -> None:
    """A value that exists; nobody reads it here."""
    project.secrets.mkdir(parents=True, exist_ok=True)
    message = "-----BEGIN PGP MESSAGE-----\n\nx\n-----END PGP MESSAGE-----\n"
    project.secrets_file("phys1").write_text(
        "#!yaml|gpg\n" + yaml.safe_dump({signin.STORED_AS: message}), encoding="utf-8"
    )


def need(project: Project) -> None:
    course = courses.load(project, "phys1")
    assert course.people is not None
    at = courses.source(project, "phys1").at("course", "signin", "kind")
    signin.need(course, course.people, Secrets(project, "phys1"), at)


@pytest.mark.parametrize("kind", WHOLE)
def test_missing_key_of_a_kind_is_reported_with_its_line(project: Project, kind: str) -> None:
    for key in set(WHOLE[kind]) - {"hosted_domain"}:
        write(project, course_file(kind, **{key: None}))
        with pytest.raises(CoursehubError) as caught:
            courses.load(project, "phys1")
        assert caught.value.exit_code == 2
        assert str(caught.value) == (
            f"pillar/courses/phys1.sls:6: signin: kind {kind} needs {key} below it too ("
            "'coursehub signin COURSE' says what to register first to get them); correct it"
        )
    write(project, course_file(kind))
    assert courses.load(project, "phys1").signin.kind == kind


def test_keys_of_another_kind_do_no_harm(project: Project) -> None:
    write(project, course_file("password", **WHOLE["lti13"], tenant=TENANT))
    assert courses.load(project, "phys1").signin.kind == "password"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("google", "oauth_callback"),
        ("github", "oauth_callback"),
        ("microsoft", "oauth_callback"),
        ("oidc", "oauth_callback"),
        ("lti13", "lti13/oauth_callback"),
    ],
)
def test_the_form_has_the_exact_redirect_uri(project: Project, kind: str, path: str) -> None:
    write(project, course_file(kind))
    document = verb.show(project, "phys1")
    uri = f"https://phys1.example.edu/hub/{path}"
    assert document["redirect_uri"] == uri
    assert uri in [field["value"] for field in document["form"]]
    assert document["client_secret_stored"] is (None if kind == "lti13" else False)
    told = "\n".join(verb.explain(document))
    assert uri in told
    assert ("coursehub secrets set phys1 oauth-client-secret" in told) == (kind != "lti13")
    json.dumps(document)


def test_lms_form_has_the_launch_address(project: Project) -> None:
    write(project, course_file("lti13"))
    values = [field["value"] for field in verb.show(project, "phys1")["form"]]
    assert "https://phys1.example.edu/hub/lti13/oauth_login" in values


def test_by_password_there_is_no_form(project: Project) -> None:
    write(project, course_file("password"))
    document = verb.show(project, "phys1")
    assert (document["form"], document["redirect_uri"]) == ([], None)
    assert len(verb.explain(document)) == 1
    need(project)


@pytest.mark.parametrize("kind", ["google", "github", "microsoft", "oidc"])
def test_without_the_clients_secret_nothing_begins(project: Project, kind: str) -> None:
    write(project, course_file(kind))
    with pytest.raises(CoursehubError) as caught:
        need(project)
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        f"pillar/courses/phys1.sls:7: signin.kind {kind} needs the client's secret; run "
        "'coursehub secrets set phys1 oauth-client-secret'"
    )
    told = verbs.validate(project, ["phys1"])["courses"][0]["errors"]
    assert str(caught.value) in [f"{one['file']}:{one['line']}: {one['message']}" for one in told]
    pretend_secret(project)
    need(project)


@pytest.mark.parametrize(
    ("kind", "changes", "key"),
    [
        ("google", {}, "email"),
        ("microsoft", {}, "email"),
        ("lti13", {}, "email"),
        ("oidc", {}, "email"),
        ("oidc", {"claim": "preferred_username"}, "login"),
        ("github", {}, "github"),
    ],
)
def test_people_are_known_by_what_the_kind_can_tell(
    project: Project, kind: str, changes: dict[str, Any], key: str
) -> None:
    pretend_secret(project)
    lost = {"account": "lost", "name": "L"}
    write(project, course_file(kind, {**PEOPLE, "students": [*PEOPLE["students"], lost]}, **changes))
    need(project)
    course = courses.load(project, "phys1")
    assert course.people is not None
    assert signin.identity(course, course.people.students[0]) == PEOPLE["students"][0][key].lower()
    (note,) = signin.notes(course, course.people, "file:7")
    assert note == f"file:7: lost cannot sign in by {kind}: no {key} of theirs is known; add it"
    assert verb.show(project, "phys1")["strangers"] == ["lost"]

    twin = {**PEOPLE["students"][0], "account": "twin", key: PEOPLE["students"][0][key].upper()}
    write(project, course_file(kind, {**PEOPLE, "students": [*PEOPLE["students"], twin]}, **changes))
    with pytest.raises(CoursehubError, match=f"turing and twin have one {key}"):
        need(project)

    professor = {name: value for name, value in PEOPLE["professors"][0].items() if name != key}
    write(project, course_file(kind, {**PEOPLE, "professors": [professor]}, **changes))
    with pytest.raises(CoursehubError, match="no professor has one; add it to curie"):
        need(project)


def test_by_password_nobody_is_lost() -> None:
    document = course_file("password", {"professors": [{"account": "curie", "name": "M"}]})
    course = CourseFile.model_validate(document).course
    assert course.people is not None
    assert signin.notes(course, course.people, "x") == []
