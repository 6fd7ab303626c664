"""Errors that several verbs raise, so that each has one wording."""

from __future__ import annotations

from typing import Any

from runner.cloud import Server
from runner.errors import CoursehubError
from runner.hub.checks import Check
from runner.servers.access import Access


class NoServer(CoursehubError):
    """The course has no server."""


def no_server(course_id: str) -> NoServer:
    """The error for a course that has no server."""
    return NoServer(f"{course_id} has no server; run 'coursehub up {course_id}'")


def not_running(course_id: str, droplet_id: int, state: str) -> CoursehubError:
    """The error for a server that is off, from a verb that may not turn it on."""
    return CoursehubError(f"{course_id}: droplet {droplet_id} is {state}; run 'coursehub up {course_id}'")


def not_right(course_id: str, check: Check, document: dict[str, Any] | None = None) -> CoursehubError:
    """The error for a server that runs but fails a check. A check that names no command gets the one for logs."""
    more = "" if "'coursehub " in check.detail else f"; 'coursehub logs {course_id}' shows what the hub says"
    return CoursehubError(f"{course_id}: the check '{check.name}' fails: {check.detail}{more}", document=document)


def all_of(failures: list[CoursehubError], document: dict[str, Any]) -> CoursehubError:
    """One error for several courses, with the document of all."""
    more = f" ({len(failures) - 1} more failed, see above)" if len(failures) > 1 else ""
    return CoursehubError(
        f"{failures[0]}{more}", exit_code=max(failure.exit_code for failure in failures), document=document
    )


def made_elsewhere(access: Access, server: Server) -> CoursehubError:
    """The error for a server whose keys are not on this computer."""
    where = access.project.shown(access.directory)
    who = f"by {server.made_by} (user and computer)" if server.made_by else "on another computer"
    return CoursehubError(
        f"{access.course_id}: droplet {server.id} was made {who} and its keys are not here, so nothing was changed; "
        f"copy {where} from there. If the keys are lost, delete the droplet in the control panel, with all files "
        "on it, and run this again"
    )
