"""``orphans``: what has our tag or name at the provider and belongs to no course here. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner import course as courses
from runner.cloud import Provider, Server, maker
from runner.cloud.around import firewall_name
from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.providers import KINDS
from runner.servers.access import Access

Document = dict[str, Any]


def orphans(project: Project, steps: Steps) -> Document:
    """Search each reachable account: the token's, and the local cloud's if it runs.

    Raises CoursehubError (2) if there is none.
    """
    clouds = list(_clouds(project))
    if not clouds:
        raise CoursehubError(
            "no account can be looked at: set DIGITALOCEAN_ACCESS_TOKEN, or start the local cloud with 'coursehub up'",
            exit_code=USAGE,
        )
    found: list[Document] = []
    with steps.step("orphans", "look for what belongs to no course here") as progress:
        for cloud in clouds:
            progress(f"asking {cloud.name}")
            found += _of(project, cloud)
    month = sum(one["month"] for one in found)
    return {"clouds": [cloud.name for cloud in clouds], "orphans": found, "month": round(month, 2)}


def _clouds(project: Project) -> Iterator[Provider]:
    for kind in KINDS.values():
        if kind.usable(project.state):
            yield kind.visit(project.state, lambda _line: None)


def _of(project: Project, cloud: Provider) -> Iterator[Document]:
    known = courses.course_ids(project)
    prices = {slug: size.price_monthly for slug, size in cloud.sizes().items()}
    alive = set()
    for course_id, server in cloud.all_of_ours():
        alive.add(course_id)
        if why := _why(project, known, course_id, server):
            month = prices.get(server.size, 0.0) if cloud.costs else 0.0
            whose = {"course_id": course_id, "made_by": server.made_by}
            yield _document(cloud, "droplet", str(server.id), why, month=month, **whose)
    for kind, names, name_of in (
        ("firewall", cloud.around.firewalls(), firewall_name),
        ("SSH key", cloud.keys_of_ours(), lambda course_id: Access(project, course_id).alias),
    ):
        ours = {name_of(course_id) for course_id in (*known, *alive)}
        for name in names:
            if name not in ours:
                yield _document(cloud, kind, name, "no course of this name is here, and no server")


def _why(project: Project, known: list[str], course_id: str, server: Server) -> str | None:
    if course_id not in known:
        return f"no course {course_id!r} is here" if course_id else "its tags name no course"
    if Access(project, course_id).has_keys(server):
        return None
    if server.made_by not in ("", maker()):
        return f"{server.made_by} made it, and its keys are not here"
    return f"{course_id} has another server, or none, by what this computer knows"


def _document(
    cloud: Provider, kind: str, name: str, why: str, *, course_id: str = "", made_by: str = "", month: float = 0.0
) -> Document:
    return {
        "cloud": cloud.name,
        "kind": kind,
        "name": name,
        "course": course_id or None,
        "made_by": made_by or None,
        "month": month,
        "why": why,
    }


def lines(document: Document) -> list[str]:
    """One line for each thing found, and the total cost."""
    found = [
        f"{one['cloud']}: {one['kind']} {one['name']}"
        + (f" of {one['course']}" if one["course"] else "")
        + (f", made by {one['made_by']}" if one["made_by"] else "")
        + (f", {one['month']:.0f} dollars a month" if one["month"] else "")
        + f": {one['why']}"
        for one in document["orphans"]
    ]
    if not found:
        return [f"nothing in {' and '.join(document['clouds'])} belongs to no course here"]
    if document["month"]:
        found.append(f"together {document['month']:.0f} dollars a month")
    return [*found, "whoever is sure that nobody uses one deletes it in the control panel"]
