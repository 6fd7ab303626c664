"""The course file decides: who is removed from a role loses it with the next apply, whatever they have open."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.hub.client import HubClient
from tests.machine.test_hub import STUDENT
from tests.support.hub import Hub
from tests.support.root import eventually
from tests.support.tokens import token_with_all_rights
from tests.support.visiting import is_closed, open_server, visits

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(1200)]

ASSISTANT = "okafor"
LINE = "      - {account: okafor, name: Chidi Okafor}\n"
ROLE = f"    assistants:\n{LINE}"
STUDENTS = "    students:\n"


@contextlib.contextmanager
def token_of(hub: Hub, client: HubClient) -> Iterator[HubClient]:
    """The same person without a session: a token with all their rights."""
    with HubClient(client.hostname, client.username, Path(str(client._ca))) as bearer:
        bearer.http.headers["Authorization"] = f"token {token_with_all_rights(hub, client.username)}"
        yield bearer


def status(client: HubClient, path: str) -> int:
    return client.get(path, allow_redirects=False).status_code


def is_refused(client: HubClient, path: str) -> bool:
    return status(client, path) != 200


def apply(hub: Hub, old: str, new: str) -> None:
    hub.sandbox.edit("demo", old, new)
    assert hub.sandbox.json("apply", "demo")["courses"]["demo"]["failed"] == 0


def test_who_is_taken_out_of_a_role_loses_it_with_the_apply(hub: Hub) -> None:
    """By session, by token and by open connections: first a person who stays as a student, then one who leaves."""
    file = hub.sandbox.project.course_file("demo")
    before = file.read_text(encoding="utf-8")
    own = f"systemctl is-active jupyter-{ASSISTANT}.service || true"
    try:
        with contextlib.ExitStack() as stack:
            student = stack.enter_context(hub.sandbox.client(hub.document, STUDENT))
            stack.callback(student.stop_server)
            student.start_server()
            kernel = stack.enter_context(student.kernel())
            kernel.run("kept = 42")
            for taken_out in ("demoted", "gone"):
                # A person who lost a role must sign in again.
                session = stack.enter_context(hub.sandbox.client(hub.document, ASSISTANT))
                stack.callback(session.stop_server)
                session.start_server()
                bearer = stack.enter_context(token_of(hub, session))
                assert [one["name"] for one in bearer.get("/hub/api/users").json()]
                assert status(session, "/hub/admin") == 200
                opened, watching = open_server(session, STUDENT), None
                if visits(hub):
                    lab = f"/user/{STUDENT}/lab"
                    assert (opened.status_code, opened.url) == (200, session.origin(lab) + lab), opened.text
                    assert status(session, f"/user/{STUDENT}/api/status") == 200
                    watching = session.websocket(f"/user/{STUDENT}/api/kernels/{kernel.id}/channels")
                    stack.callback(watching.close)
                else:
                    assert opened.status_code == 403, opened.text
                if taken_out == "demoted":
                    assert hub.run(own).strip() == "active"
                    apply(hub, f"{ROLE}{STUDENTS}", f"{STUDENTS}{LINE}")
                    # Their processes were started with the rights of the role.
                    assert hub.run(own).strip() != "active"
                else:
                    apply(hub, ROLE, "")
                assert status(session, "/hub/home") == 302
                assert status(bearer, "/hub/api/users") == 403
                assert status(session, "/hub/admin") != 200
                eventually(functools.partial(is_refused, session, f"/user/{STUDENT}/api/status"), 45)
                if watching:
                    eventually(functools.partial(is_closed, watching), 60)
                if taken_out == "demoted":
                    apply(hub, f"{STUDENTS}{LINE}", f"{ROLE}{STUDENTS}")
            assert kernel.run("print(kept)") == "42"
    finally:
        file.write_text(before, encoding="utf-8")
        hub.sandbox.json("apply", "demo")
