"""Projects: the groups in which the control panel shows what an account has."""

from __future__ import annotations

import re
import uuid

from runner.local.api.call import Call, Document, Routes, first
from runner.local.cloud import ApiError, unprocessable
from runner.local.store import Project, Store, now

URN = re.compile(r"^do:(dbaas|domain|droplet|floatingip|loadbalancer|space|volume|kubernetes|vpc):.+$")
ENVIRONMENTS = ("Development", "Staging", "Production")


def project_document(project: Project) -> Document:
    """A project as the API shows it."""
    shown = project.model_dump(exclude={"resources"})
    owner = {"owner_id": 1, "owner_uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, "local.coursehub.test"))}
    return {**shown, **owner, "updated_at": project.created_at, "is_default": False}


def _find(store: Store, wanted: str) -> Project:
    return first(project for project in store.account.projects if project.id == wanted)


def _resources(store: Store, project: Project) -> list[str]:
    """The resources in a project, without deleted droplets."""
    there = {f"do:droplet:{droplet.id}" for droplet in store.account.droplets}
    return [urn for urn in project.resources if urn in there or not urn.startswith("do:droplet:")]


def _resource_document(urn: str, status: str) -> Document:
    return {"urn": urn, "assigned_at": now(), "links": {"self": "http://127.0.0.1/v2/"}, "status": status}


def list_projects(call: Call) -> tuple[int, Document]:
    """The account's projects."""
    with call.cloud.reading() as store:
        return 200, call.page("projects", store.account.projects, project_document)


def create_project(call: Call) -> tuple[int, Document]:
    """Add a project."""
    body = call.json()
    name, purpose = call.text(body, "name"), call.text(body, "purpose")
    environment = body.get("environment", "Development")
    if environment not in ENVIRONMENTS or len(name) > 175 or len(purpose) > 255:
        raise unprocessable("the project's name, purpose or environment is not valid")
    with call.cloud.changing() as store:
        if any(project.name == name for project in store.account.projects):
            raise ApiError(409, "conflict", "name is already in use")
        project = Project(
            id=str(uuid.uuid4()),
            name=name,
            purpose=purpose,
            description=str(body.get("description") or ""),
            environment=environment,
            created_at=now(),
        )
        store.account.projects.append(project)
        return 201, {"project": project_document(project)}


def get_project(call: Call) -> tuple[int, Document]:
    """One project."""
    with call.cloud.reading() as store:
        return 200, {"project": project_document(_find(store, call.params["project"]))}


def delete_project(call: Call) -> tuple[int, None]:
    """Remove a project that is empty."""
    with call.cloud.changing() as store:
        project = _find(store, call.params["project"])
        if _resources(store, project):
            raise ApiError(412, "precondition_failed", "cannot delete a project with resources")
        store.account.projects.remove(project)
    return 204, None


def list_resources(call: Call) -> tuple[int, Document]:
    """What is in a project."""
    with call.cloud.reading() as store:
        found = _resources(store, _find(store, call.params["project"]))
        return 200, call.page("resources", found, lambda urn: _resource_document(urn, "ok"))


def assign_resources(call: Call) -> tuple[int, Document]:
    """Move resources into a project."""
    urns = call.json().get("resources")
    if not isinstance(urns, list) or not all(isinstance(urn, str) and URN.match(urn) for urn in urns):
        raise unprocessable("resources must be a list of URNs")
    with call.cloud.changing() as store:
        project = _find(store, call.params["project"])
        for other in store.account.projects:
            other.resources = [urn for urn in other.resources if urn not in urns]
        project.resources += urns
        return 200, {"resources": [_resource_document(urn, "assigned") for urn in urns]}


ROUTES: Routes = (
    ("GET", "/v2/projects", list_projects),
    ("POST", "/v2/projects", create_project),
    ("GET", "/v2/projects/{project}", get_project),
    ("DELETE", "/v2/projects/{project}", delete_project),
    ("GET", "/v2/projects/{project}/resources", list_resources),
    ("POST", "/v2/projects/{project}/resources", assign_resources),
)
