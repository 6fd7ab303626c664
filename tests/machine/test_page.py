"""Announcements on a real hub: shown at the next request without any restart."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from runner.hub.client import HubClient
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(900)]

STUDENT = "abello"
#: One pixel.
LOGO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def anonymous(hub: Hub) -> HubClient:
    return HubClient(hub.document["hostname"], STUDENT, Path(hub.document["ca_bundle"]))


def write_page(hub: Hub, lines: list[str]) -> None:
    """Replace the page in the course file; without lines, remove it."""
    path = hub.sandbox.project.course_file(hub.course)
    above, people, below = path.read_text(encoding="utf-8").partition("\n  people:\n")
    above = above.partition("\n  page:\n")[0]
    page = "".join(f"    {line}\n" for line in lines)
    path.write_text(f"{above}\n" + (f"  page:\n{page}" if page else "") + f"{people[1:]}{below}", encoding="utf-8")


def test_an_announcement_restarts_nothing(hub: Hub) -> None:
    file = hub.sandbox.project.course_file(hub.course)
    before = file.read_text(encoding="utf-8")
    logos = hub.sandbox.project.logos
    logos.mkdir(parents=True, exist_ok=True)
    (logos / "crest.png").write_bytes(LOGO)
    try:
        write_page(hub, ["message: No lab today", "help: help@example.edu", "logo: crest.png"])
        hub.sandbox.json("apply", hub.course)
        with anonymous(hub) as client:
            login = client.get("/hub/login").text
            assert "No lab today" in login
            assert "ENGR 114: Engineering Programming with Python" in login
            assert 'href="mailto:help@example.edu"' in login
            logo = client.get("/.coursehub/crest.png")
            assert (logo.status_code, logo.headers["content-type"], logo.content) == (200, "image/png", LOGO)

        running = "systemctl show -p MainPID,ExecMainStartTimestamp jupyterhub jupyterhub-proxy nginx"
        started = hub.run(running)
        write_page(hub, ['message: "Lab 3 is due <b>now</b> {% raw %}"', "help: Room 12", "logo: crest.png"])
        # Jinja in a message is refused with the file, and the hub keeps its old text.
        assert "Jinja" in hub.sandbox.run("apply", hub.course).stderr
        write_page(hub, ['message: "Lab 3 is due <b>now</b>"', "help: Room 12", "logo: crest.png"])
        changes = hub.sandbox.json("apply", hub.course)["courses"][hub.course]["changes"]
        # The help address is also shown after a failed pull and for a student's own packages.
        assert {change["name"] for change in changes} == {
            "/etc/jupyterhub/page.json",
            "/etc/jupyter/class_pull_course.json",
            "/etc/jupyter/class_own.json",
        }
        assert hub.run(running) == started
        with anonymous(hub) as client:
            login = client.get("/hub/login").text
            assert "Lab 3 is due &lt;b&gt;now&lt;/b&gt;" in login
            assert "No lab today" not in login
    finally:
        file.write_text(before, encoding="utf-8")
        (logos / "crest.png").unlink()
        hub.sandbox.json("apply", hub.course)
    with anonymous(hub) as client:
        assert "Lab 3" not in client.get("/hub/login").text
        assert client.get("/.coursehub/crest.png").status_code == 404
