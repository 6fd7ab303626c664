"""Sign-in by a launch from an LMS (LTI 1.3) on a real server: only valid launches of people of the class get in."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest
from selenium import webdriver

from tests.machine.test_hub import STUDENT
from tests.support.browser import press
from tests.support.lti import new_key, submit
from tests.support.signing_in import (
    CLAIMS,
    Trial,
    driver,  # noqa: F401
    home_of,
    lures,
    nobody_and_no_secret_is_in_a_log_or_open,
    refused,
    signed_in,
    trial,  # noqa: F401
    write_work_under_a_password,
)

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def lti(trial: Trial) -> Trial:
    write_work_under_a_password(trial)
    assert trial.switch("lti13")["failed"] == 0
    return trial


def test_a_launch_from_the_lms_signs_a_student_in(lti: Trial) -> None:
    with lti.client() as client:
        assert "Brightspace" in client.get("/hub/login").text
        form = lti.platform.click(client, "student")
        cookies = [cookie for cookie in client.http.cookies if cookie.name.startswith("lti13authenticator")]
        assert len(cookies) == 2
        for cookie in cookies:
            # Without both attributes, a browser does not send them on the way back from the LMS.
            assert cookie.secure
            assert cookie.get_nonstandard_attr("SameSite") == "None"
        home_of(client, submit(client, form))
        client.start_server()
        assert client.api("GET", "/api/contents/kept.txt").json()["content"] == "my work"
        # A link in the LMS may point to a notebook.
        page = submit(client, lti.platform.click(client, "student", "/hub/user-redirect/lab/tree/kept.txt"))
        kept = f"/user/{STUDENT}/lab/tree/kept.txt"
        assert page.url == client.origin(kept) + kept
        client.stop_server()


def test_a_browser_that_comes_from_the_lms_is_signed_in(lti: Trial, driver: webdriver.Chrome) -> None:
    """A form of another site starts the visit, and another one ends it."""
    hub = lti.hub.document["url"].rstrip("/")
    driver.get(lti.platform.course_page("student", hub))
    press(driver, "button")
    signed_in(driver, lti, STUDENT)


def test_a_launch_leads_to_nobody_elses_server(lti: Trial) -> None:
    """Any site can send a browser to the address where a launch begins, with a link of its choice."""
    for lure in lures(lti.client()):
        for where in ({"target": lure}, {"target": f"/hub/login?next={lure}"}, {"next": lure}):
            with lti.client() as client:
                page = submit(client, lti.platform.click(client, "student", **where))
                assert page.status_code == 200, (where, page.url)
                assert page.url == f"{client.base}/hub/home", where


def test_a_launch_of_a_stranger_is_refused(lti: Trial) -> None:
    with lti.client() as client:
        assert "Not on the class list" in refused(submit(client, lti.platform.click(client, "stranger")))
    with lti.client() as client:
        # An LMS that sends no email addresses.
        assert "did not send your email" in refused(submit(client, lti.platform.click(client, "nobody")))


#: Changes to a launch before the platform signs it.
BAD_LAUNCHES: dict[str, dict[str, Any]] = {
    "expired": {"exp": -120, "iat": -420},
    "stale": {"iat": -1200},
    "of another platform": {"iss": "https://lms.example.edu"},
    "for another tool": {"aud": "10000000000002"},
    "for another visit": {"nonce": "0" * 64},
    "without an end": {"exp": None},
    "of another version": {"https://purl.imsglobal.org/spec/lti/claim/version": "1.1"},
}


@pytest.mark.parametrize("name", BAD_LAUNCHES)
def test_a_launch_that_is_not_valid_is_refused(lti: Trial, name: str) -> None:
    def twist(claims: dict[str, Any]) -> None:
        for claim, value in BAD_LAUNCHES[name].items():
            if value is None:
                del claims[claim]
            else:
                # Times are relative to now, in seconds.
                claims[claim] = int(time.time()) + value if claim in ("exp", "iat") else value

    lti.platform.twist = twist
    try:
        with lti.client() as client:
            said = refused(submit(client, lti.platform.click(client, "student")), 400)
            assert ("run out" if name == "for another visit" else "not valid") in said
            assert client.get("/hub/home").url != f"{client.base}/hub/home"
    finally:
        lti.platform.twist = lambda _: None


def test_a_forged_and_a_tampered_launch_are_refused(lti: Trial) -> None:
    lti.platform.signs_with = new_key()
    try:
        with lti.client() as client:
            assert "not valid" in refused(submit(client, lti.platform.click(client, "student")), 400)
    finally:
        lti.platform.signs_with = None
    with lti.client() as client:
        form = lti.platform.click(client, "stranger")
        head, _said, signature = re.findall(r'name="id_token" value="([^"]+)"', form.text)[0].split(".")
        said = lti.platform.claims({**lti.platform.last, "login_hint": "student"})
        body = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
        form._content = re.sub(
            rb'name="id_token" value="[^"]+"',
            f'name="id_token" value="{head}.{body}.{signature}"'.encode(),
            form.content,
        )
        assert "not valid" in refused(submit(client, form), 400)


def test_a_launch_works_once(lti: Trial) -> None:
    with lti.client() as client:
        form = lti.platform.click(client, "student")
        before = client.http.cookies.copy()
        home_of(client, submit(client, form))
        with lti.client() as thief:
            assert "run out" in refused(submit(thief, form), 400), "another browser"
        with lti.client() as thief:
            # Even with all cookies of that browser.
            thief.http.cookies.update(before)
            assert "used before" in refused(submit(thief, form), 400)


def test_only_a_launch_signs_in(lti: Trial) -> None:
    """The library would treat the hub's own form like a launch that was verified already."""
    with lti.client() as client:
        client.get("/hub/login")
        page = client.http.post(
            f"{client.base}/hub/login",
            data={"email": CLAIMS["student"]["email"], "username": "x", "_xsrf": client._xsrf("/hub/")},
            allow_redirects=False,
        )
        assert page.status_code == 403
        assert "Brightspace" in refused(client.get("/hub/lti13/oauth_login"), 400)


def test_log_after_launches_has_nobody_and_no_secret(lti: Trial) -> None:
    nobody_and_no_secret_is_in_a_log_or_open(lti)
