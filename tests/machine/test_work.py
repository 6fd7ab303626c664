"""Teachers look at students' work, are logged, and lose access with the course file; students share what it says."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from runner.hub.client import HubClient
from tests.machine.test_hub import until
from tests.support.hub import Hub
from tests.support.visiting import CLICK, is_closed, open_server, visits

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

PROFESSOR, ASSISTANT, STUDENT, OTHER, THIRD, GUEST = "rivera", "okafor", "abello", "bcarter", "cdubois", "visitor"
PAGE = "/services/students-work/"
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "cells": [
        {"cell_type": "markdown", "id": "m1", "metadata": {}, "source": "# A falling ball"},
        {
            "cell_type": "code",
            "id": "c1",
            "metadata": {},
            "execution_count": 1,
            "source": "fall(2)",
            "outputs": [
                {
                    "output_type": "execute_result",
                    "execution_count": 1,
                    "metadata": {},
                    "data": {"text/html": "<script>hostile()</script><b>19.6 m</b>", "text/plain": "19.6"},
                }
            ],
        },
    ],
}


def as_(hub: Hub, account: str, script: str) -> str:
    """What a person's own programs can do; the exit code is the last line."""
    return hub.run(f"runuser -u {account} -- sh -c {quoted('cd; umask 0007; ' + script)} 2>&1; echo $?").strip()


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def page(client: HubClient, address: str = "", **options: Any) -> requests.Response:
    return client.get(PAGE + address, headers=CLICK, **options)


def openings(hub: Hub, who: str) -> list[tuple[str, str]]:
    """Who opened whose work, and how, from the verb that a professor types."""
    document = hub.sandbox.json("logs", hub.course, "--openings", "-n", "1000")
    return [(one["whose"], one["what"]) for one in document["openings"] if one["who"] == who]


@pytest.fixture(scope="module")
def staffed(hub: Hub) -> Iterator[Hub]:
    """The course with a guest and two teams, and a student's notebook; restored afterwards."""
    path = hub.sandbox.project.course_file(hub.course)
    before = path.read_text(encoding="utf-8")
    text = before.replace("    students:\n", f"    guests:\n      - {{account: {GUEST}, name: V}}\n    students:\n")
    for account, teams in ((STUDENT, "blue"), (OTHER, "red")):
        text = re.sub(rf"(account: {account}, name: [^}}]*)}}", rf"\1, groups: [{teams}]}}", text)
    path.write_text(text, encoding="utf-8")
    try:
        # A running server would keep its groups, without the team that its owner joins now.
        with hub.sandbox.client(hub.document, STUDENT) as student:
            student.stop_server()
        outcome = hub.sandbox.json("apply", hub.course)["courses"][hub.course]
        # A change of the class changes accounts and directories, and restarts nothing.
        changed = {"accounts-class", "accounts-directories", "homes-look", "/etc/jupyterhub/names.json"}
        assert {change["name"] for change in outcome["changes"]} == changed
        as_(hub, STUDENT, f"cat > lab.ipynb <<'END'\n{json.dumps(NOTEBOOK)}\nEND\nln -s /etc/passwd passwd")
        yield hub
    finally:
        path.write_text(before, encoding="utf-8")
        hub.sandbox.json("apply", hub.course)


def test_an_assistant_looks_at_a_notebook_and_downloads_it(staffed: Hub) -> None:
    with staffed.sandbox.client(staffed.document, ASSISTANT) as client:
        assert "Students&#39; work" in client.get("/hub/home").text
        people = page(client)
        assert [there in people.text for there in (f"of/{STUDENT}/", f"of/{GUEST}/", "team/blue/")] == [True] * 3
        assert [there in people.text for there in (f"of/{ASSISTANT}/", "coursehub-check")] == [False] * 2
        assert "lab.ipynb" in page(client, f"of/{STUDENT}/").text
        assert "?do=render" in page(client, f"of/{STUDENT}/lab.ipynb").text
        shown = page(client, f"of/{STUDENT}/lab.ipynb?do=render", timeout=60)
        assert shown.status_code == 200
        assert "<b>19.6 m</b>" in shown.text and "A falling ball" in shown.text
        assert shown.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'; ")
        # nginx replaces an upstream's headers with its own.
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
        assert page(client, f"of/{STUDENT}/lab.ipynb?do=fetch").json() == NOTEBOOK
        with zipfile.ZipFile(io.BytesIO(page(client, f"of/{STUDENT}/?do=pack").content)) as archive:
            assert json.loads(archive.read("lab.ipynb")) == NOTEBOOK
        link = page(client, f"of/{STUDENT}/passwd?do=show")
        assert (link.status_code, "not followed" in link.text) == (404, True)
        # Without the header that scripts cannot send, a script on a student's page could read all this.
        assert client.get(f"{PAGE}of/{STUDENT}/").status_code == 403
    looked = ["folder listed", "file opened", "file shown", "downloaded", "downloaded", "file shown"]
    assert openings(staffed, ASSISTANT)[-6:] == [(STUDENT, what) for what in looked]
    assert staffed.run("stat -c '%a %U' /var/log/coursehub /var/log/coursehub/openings.log").split() == [
        *("700", "root"), *("600", "root"),
    ]  # fmt: skip
    assert "lab.ipynb" not in staffed.run("cat /var/log/coursehub/openings.log")


def test_the_page_could_change_nothing_if_it_would(staffed: Hub) -> None:
    """In its own namespaces, as that unit's root: homes are read-only, and the server's secrets are absent."""
    inside = "nsenter --mount --target $(systemctl show -p MainPID --value jupyterhub-work)"
    for path in (f"/home/{STUDENT}/x", "/srv/class/groups/blue/x", "/etc/x"):
        assert "Read-only file system" in staffed.run(f"{inside} touch {path} 2>&1 || true"), path
    for path in ("/srv/jupyterhub/cookie_secret", "/etc/ssl/coursehub/*/privkey.pem", "/root/.profile"):
        assert staffed.run(f"cat {path} | wc -c").strip() != "0", path
        assert staffed.run(f"{inside} sh -c 'cat {path} 2>/dev/null || true'") == "", path
    can = staffed.run("grep CapBnd /proc/$(systemctl show -p MainPID --value jupyterhub-work)/status").split()[1]
    # CAP_KILL, CAP_SETGID, CAP_SETUID.
    assert int(can, 16) == 1 << 5 | 1 << 6 | 1 << 7
    assert staffed.run("stat -c '%a %U %G' /run/coursehub/work/work.sock").split() == ["660", "root", "coursehub-proxy"]


@pytest.mark.parametrize("account", [OTHER, GUEST])
def test_students_and_guests_see_only_themselves(staffed: Hub, account: str) -> None:
    with staffed.sandbox.client(staffed.document, account) as client:
        for address in ("", f"of/{STUDENT}/", f"of/{account}/", "team/blue/", f"of/{STUDENT}/lab.ipynb?do=fetch"):
            assert page(client, address).status_code == 403
        assert "students-work" not in client.get("/hub/home").text
        assert client.get("/hub/api/users").status_code == 403
        assert client.get(f"/hub/api/users/{STUDENT}").status_code == 404
        answer = open_server(client, STUDENT)
        assert answer.status_code in (403, 404), answer.url
    assert openings(staffed, account) == []
    assert "Permission denied" in as_(staffed, account, f"ls /home/{STUDENT}")


def test_what_teachers_share_all_read_and_teachers_alone_write(staffed: Hub) -> None:
    shared = "/srv/class/shared"
    assert as_(staffed, PROFESSOR, f"echo week 1 > {shared}/notes.txt") == "0"
    assert as_(staffed, ASSISTANT, f"echo hint >> {shared}/notes.txt") == "0"
    for account in (STUDENT, GUEST):
        assert as_(staffed, account, f"cat {shared}/notes.txt").splitlines() == ["week 1", "hint", "0"]
        assert "Permission denied" in as_(staffed, account, f"echo mine >> {shared}/notes.txt")
        assert "Permission denied" in as_(staffed, account, f"touch {shared}/mine")


def test_removed_assistant_loses_access_and_late_member_gets_it(staffed: Hub) -> None:
    """One apply: the assistant leaves, a student joins a team. Nobody else notices."""
    hub = staffed
    with (
        hub.sandbox.client(hub.document, STUDENT) as student,
        hub.sandbox.client(hub.document, PROFESSOR) as professor,
        hub.sandbox.client(hub.document, ASSISTANT) as assistant,
    ):
        student.start_server()
        with student.kernel() as kernel:
            assert kernel.run("import os; print(os.readlink('shared'))") == "/srv/class/shared"
            kernel.run("open('groups/blue/plan.txt', 'w').write('ours'); kept = 41")
            for teacher, account in ((professor, PROFESSOR), (assistant, ASSISTANT)):
                if not visits(hub):
                    assert open_server(teacher, STUDENT).status_code == 403
                    continue
                assert open_server(teacher, STUDENT).url.endswith(f"/user/{STUDENT}/lab")
                assert teacher.get(f"/user/{STUDENT}/api/contents/lab.ipynb").status_code == 200
                assert openings(hub, account)[-1] == (STUDENT, "server opened")
            assert page(assistant, "team/blue/plan.txt?do=show").text == "ours"
            assert openings(hub, ASSISTANT)[-1] == ("groups/blue", "file shown")
            terminal = visits(hub) and assistant.websocket(f"/user/{STUDENT}/api/kernels/{kernel.id}/channels")
            for account in (OTHER, THIRD, PROFESSOR, ASSISTANT):
                assert "Permission denied" in as_(hub, account, "ls /srv/class/groups/blue")
            running = (
                "systemctl show -p MainPID,ExecMainStartTimestamp jupyterhub jupyterhub-proxy jupyterhub-work nginx"
            )
            before = hub.run(running)

            path = hub.sandbox.project.course_file(hub.course)
            text = path.read_text(encoding="utf-8")
            text = re.sub(rf"    assistants:\n      - {{account: {ASSISTANT}.*\n", "", text)
            text = re.sub(rf"(account: {OTHER}, [^}}]*groups: )\[red\]", r"\1[blue]", text)
            path.write_text(text, encoding="utf-8")
            assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0

            # By the removed group, or by the sign-in page once the hub was asked again.
            looked = page(assistant, f"of/{STUDENT}/")
            assert looked.status_code == 403 or "/hub/login" in looked.url
            assert "lab.ipynb" not in looked.text
            assert hub.run(running) == before
            plan = "/srv/class/groups/blue/plan.txt"
            assert as_(hub, OTHER, f"echo theirs >> {plan}; cat {plan}") == "ourstheirs\n0"
            assert "Permission denied" in as_(hub, OTHER, "ls /srv/class/groups/red")
            assert hub.run("ls -d /srv/class/groups/red")
            if terminal:
                until("the open kernel's end", lambda: is_closed(terminal), 60)
            until("the server's refusal", lambda: not may_use(assistant, STUDENT), 60)
            assert may_use(professor, STUDENT) == visits(hub)
            assert kernel.run("print(kept + 1, open('groups/blue/plan.txt').read().split()[0])") == "42 ourstheirs"
        student.stop_server()


def may_use(client: HubClient, owner: str) -> bool:
    return client.get(f"/user/{owner}/api/contents", allow_redirects=False).status_code == 200
