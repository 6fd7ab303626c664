"""``signin``: what to type into the provider's form. No network, no cloud, no root."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from runner import course as courses
from runner.course.signin import NEEDS, PLACEHOLDERS
from runner.errors import CoursehubError
from runner.people import people_of
from runner.project import Project
from runner.secrets import Secrets
from runner.setup import signin


def show(project: Project, course_id: str) -> dict[str, Any]:
    """The fields of the provider's form, whether its secret is here (None: not needed), and who could not sign in."""
    course, missing = _load(project, course_id)
    people = people_of(project, course_id, course)
    stored = signin.STORED_AS in Secrets(project, course_id).names() if course.signin.needs_secret else None
    return {
        "course": course_id,
        "kind": course.signin.kind,
        "where": signin.where(course),
        "redirect_uri": None if course.signin.kind == "password" else signin.redirect_uri(course),
        "form": [asdict(field) for field in signin.form(course)],
        "missing": {key: signin.called(course.signin.kind, key) for key in missing},
        "put_into": courses.source(project, course_id).at("course", "signin"),
        "client_secret_stored": stored,
        "strangers": signin.strangers(course, people),
    }


def _load(project: Project, course_id: str) -> tuple[courses.Course, list[str]]:
    """The course, and what its sign-in lacks: a provider shows some values only after its form was filled in."""
    try:
        return courses.load(project, course_id), []
    except CoursehubError:
        data = copy.deepcopy(courses.source(project, course_id).data)
        given: Any = (data.get("course") or {}).get("signin") if isinstance(data, dict) else None
        if not isinstance(given, dict):
            raise
        missing = [key for key in NEEDS.get(given.get("kind", "password"), ()) if not given.get(key)]
        if not missing:
            raise
        given.update({key: PLACEHOLDERS[key] for key in missing})
        try:
            return courses.CourseFile.model_validate(data).course, missing
        except ValidationError:
            pass
        raise


def explain(document: dict[str, Any]) -> list[str]:
    """The document as lines for a teacher."""
    course_id = document["course"]
    if document["kind"] == "password":
        return [f"{course_id}: people sign in by password; 'coursehub passwords {course_id}' prints the first ones"]
    lines = [f"{course_id}: sign-in by {document['kind']}; type into the form at", f"  {document['where']}"]
    width = max(len(field["label"]) for field in document["form"])
    lines += [f"    {field['label']:<{width}}  {field['value']}" for field in document["form"]]
    if document["missing"]:
        lines.append(f"  then type what it shows into {document['put_into']}, below signin:")
        wide = max(map(len, document["missing"]))
        lines += [f"    {key + ':':<{wide + 1}}  (there: {name})" for key, name in document["missing"].items()]
    if document["client_secret_stored"] is False:
        lines.append(f"  then: coursehub secrets set {course_id} {signin.STORED_AS}")
    if document["strangers"]:
        lines.append(f"  these could not sign in yet: {', '.join(document['strangers'])}")
    return [*lines, "  docs/sign-in.md has every step"]
