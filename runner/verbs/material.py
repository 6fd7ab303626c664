"""``material``: the links for the LMS and the deploy keys. No network, no cloud, no root."""

from __future__ import annotations

from typing import Any

from runner import course as courses
from runner.course import Course
from runner.course.material import Repository
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.secrets import Secrets
from runner.secrets.vault import Report, Vault
from runner.servers.claim import claim
from runner.setup import material


def show(project: Project, course_id: str, report: Report) -> dict[str, Any]:
    """Each repository's link and deploy key, and the paths of the data sets; missing keys are made."""
    course = courses.load(project, course_id)
    secrets = Secrets(project, course_id)
    return {
        "course": course_id,
        "repositories": [
            {
                "name": one.name,
                "url": one.url,
                "branch": one.branch,
                "link": material.link(course, one),
                "deploy_key": _deploy_key(project, course_id, one, secrets, report) if one.private else None,
            }
            for one in course.material.repositories
        ],
        "data": [
            {"name": one.name, "in_homes": f"~/data/{one.name}", "path": material.data_path(one)}
            for one in course.material.data
        ],
    }


def _deploy_key(
    project: Project, course_id: str, repository: Repository, secrets: Secrets, report: Report
) -> dict[str, Any]:
    name, public = material.key_name(repository), None
    if name not in secrets.names():
        with claim(project, course_id, "material"):
            # Checked again: the previous holder of the claim may have made the key, and somebody may be pasting it.
            if name not in secrets.names():
                public = _store_new(project, course_id, repository, report)
    new = public is not None
    public = public or material.public_half(secrets.get(name), course_id, repository)
    return {"secret": name, "public": public, "paste_at": material.form(repository), "new": new}


def _store_new(project: Project, course_id: str, repository: Repository, report: Report) -> str:
    Vault(project).ensure_key(report)
    pair = material.new_key(course_id, repository)
    Secrets(project, course_id).set(material.key_name(repository), pair.private)
    return pair.public


def rotate(project: Project, course_id: str, name: str, report: Report) -> dict[str, Any]:
    """Replace a deploy key. Raises CoursehubError (2) if no repository has one with that name."""
    course = courses.load(project, course_id)
    repository = _of_key(course, course_id, name)
    with claim(project, course_id, f"secrets rotate {name}"):
        public = _store_new(project, course_id, repository, report)
    return {
        "course": course_id,
        "what": name,
        "public": public,
        "disturbs": f"nobody notices. Paste it at {material.form(repository)}; then 'coursehub apply {course_id}' and "
        f"commit pillar/secrets/; take the old one out at {repository.host} at last: {public}",
    }


def _of_key(course: Course, course_id: str, name: str) -> Repository:
    private = {material.key_name(one): one for one in course.material.repositories if one.private}
    if name not in private:
        known = ", ".join(private) or "none, as no repository of the course is private"
        raise CoursehubError(f"{course_id} has no deploy key {name}; there are: {known}", exit_code=USAGE)
    return private[name]


def explain(document: dict[str, Any]) -> list[str]:
    """The document as lines for a teacher."""
    course_id = document["course"]
    if not document["repositories"] and not document["data"]:
        return [f"{course_id}: no material in its course file; docs/course-file.md#material says how"]
    lines = [f"{course_id}: links for the LMS"] if document["repositories"] else []
    for one in document["repositories"]:
        lines += [f"  {one['name']} ({one['url']}, branch {one['branch']})", f"    {one['link']}"]
        if key := one["deploy_key"]:
            lines += [f"    deploy key{' (new)' * key['new']}: paste at {key['paste_at']}:", f"    {key['public']}"]
    if any(one["deploy_key"] and one["deploy_key"]["new"] for one in document["repositories"]):
        lines.append(f"  paste, commit pillar/secrets/, then 'coursehub apply {course_id}'")
    lines += [f"{course_id}: data sets"] * bool(document["data"])
    lines += [f"  {one['in_homes']} ({one['path']})" for one in document["data"]]
    return lines
