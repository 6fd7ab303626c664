"""``signin`` before the provider has given any value: the form comes first, the course file's values after it."""

from __future__ import annotations

import pytest

from runner import course as courses
from runner.errors import CoursehubError
from runner.project import Project
from runner.verbs import signin as verb

pytestmark = pytest.mark.unit

COURSE = """\
#!yaml
course:
  title: "P"
  domain: phys.example.edu
  contact: prof@example.edu
  people:
    professors: [{account: curie, name: "Marie Curie", email: curie@example.edu}]
"""


@pytest.mark.parametrize(
    ("given", "uri", "missing"),
    [
        (
            "{kind: microsoft}",
            "oauth_callback",
            {"client_id": "Application (client) ID", "tenant": "Directory (tenant) ID"},
        ),
        ("{kind: google}", "oauth_callback", {"client_id": "Client ID"}),
        (
            "{kind: lti13, issuer: 'https://lms.example.edu'}",
            "lti13/oauth_callback",
            {
                "client_id": "Client ID",
                "authorize_url": "OpenID Connect authentication endpoint",
                "jwks_url": "Keyset URL",
            },
        ),
    ],
)
def test_the_form_is_shown_before_its_answers_are_known(
    empty_project: Project, given: str, uri: str, missing: dict[str, str]
) -> None:
    empty_project.course_file("phys").write_text(f"{COURSE}  signin: {given}\n")
    with pytest.raises(CoursehubError, match="'coursehub signin COURSE' says what to register first"):
        courses.load(empty_project, "phys")
    document = verb.show(empty_project, "phys")
    assert document["redirect_uri"] == f"https://phys.example.edu/hub/{uri}"
    assert document["missing"] == missing
    told = "\n".join(verb.explain(document))
    assert f"https://phys.example.edu/hub/{uri}" in told
    assert "then type what it shows into pillar/courses/phys.sls:8, below signin:" in told
    assert "to-come" not in told
    assert all(f"{key}:" in told and f"(there: {name})" in told for key, name in missing.items())


def test_other_mistake_is_still_reported(empty_project: Project) -> None:
    empty_project.course_file("phys").write_text(f"{COURSE}  signin: {{kind: microsoft}}\n  titel: x\n")
    with pytest.raises(CoursehubError, match="and 1 more"):
        verb.show(empty_project, "phys")
