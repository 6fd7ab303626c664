"""The pages for people who wait for a server, rendered by the JupyterHub of the hub's lock."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.hub_pages import page

__all__ = ["page"]
pytestmark = pytest.mark.unit


def test_failed_start_shows_the_reason_as_plain_text(page: Any) -> None:
    shown = page("not_running.html", failed=True, failed_message="The disk is full. <script>alert(1)</script>")
    assert 'role="alert">The disk is full. &lt;script&gt;' in shown
    assert 'href="/hub/spawn/ada"' in shown
    assert "coursehub-waits" not in shown, "a start that failed is not tried again by itself"


def test_failed_start_without_a_reason_says_whom_to_tell(page: Any) -> None:
    assert "tell your teacher" in page("not_running.html", failed=True, failed_message=None)


def test_start_that_failed_at_once_says_the_same(page: Any) -> None:
    told = {"status_code": 500, "status_message": "Internal Server Error"}
    shown = page("error.html", message="The <b>disk</b>", exception={"reason": "not-started"}, **told)
    assert "Your server did not start" in shown
    assert "The &lt;b&gt;disk" in shown
    assert "500" not in shown
    other = page("error.html", message="nothing here", exception={"reason": ""}, **told)
    assert "500 : Internal Server Error" in other


def test_waiting_page_looks_whether_it_still_waits(page: Any) -> None:
    """The proxy keeps the stream open if the hub dies; tried with a browser and a killed hub."""
    shown = page("spawn_pending.html", spawner={})
    ours = shown.index("async function waits()")
    assert shown.index("new EventSource(") < ours
    assert shown.rindex('<script nonce="n0nce"', 0, ours) > 0
    assert "location.reload()" in shown[ours:]


def test_page_that_waited_starts_the_server_by_itself(page: Any) -> None:
    assert "coursehub-waits" in page("not_running.html", failed=False)
