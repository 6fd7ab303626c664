"""``signin``: what to type into the provider's form. No network, no cloud, no root."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runner import course as courses
from runner import signin
from runner.people import people_of
from runner.project import Project
from runner.secrets import Secrets


def show(project: Project, course_id: str) -> dict[str, Any]:
    """What the provider's form asks for, whether its secret is here (None: needs none), and who could not sign in."""
    course = courses.load(project, course_id)
    people = people_of(project, course_id, course)
    stored = signin.STORED_AS in Secrets(project, course_id).names() if course.signin.needs_secret else None
    return {
        "course": course_id,
        "kind": course.signin.kind,
        "where": signin.where(course),
        "redirect_uri": None if course.signin.kind == "password" else signin.redirect_uri(course),
        "form": [asdict(field) for field in signin.form(course)],
        "client_secret_stored": stored,
        "strangers": signin.strangers(course, people),
    }


def explain(document: dict[str, Any]) -> list[str]:
    """The document as lines for a teacher."""
    course_id = document["course"]
    if document["kind"] == "password":
        return [f"{course_id}: people sign in by password; 'coursehub passwords {course_id}' prints the first ones"]
    lines = [f"{course_id}: sign-in by {document['kind']}; type into the form at", f"  {document['where']}"]
    width = max(len(field["label"]) for field in document["form"])
    lines += [f"    {field['label']:<{width}}  {field['value']}" for field in document["form"]]
    if document["client_secret_stored"] is False:
        lines.append(f"  then: coursehub secrets set {course_id} {signin.STORED_AS}")
    if document["strangers"]:
        lines.append(f"  these could not sign in yet: {', '.join(document['strangers'])}")
    return [*lines, "  docs/sign-in.md has every step"]
