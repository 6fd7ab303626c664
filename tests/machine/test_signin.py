"""Sign-in by OpenID Connect, Google, GitHub and Microsoft on a real server: only the class gets in.

The provider is panva's oidc-provider. It runs on the local cloud's network under a college's name, as browsers tell
sites apart by their domain. The server trusts its certificate.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from runner.people.passwords import Passwords
from tests.machine.test_hub import OTHER, STUDENT, hub_answers, until
from tests.support.browser import press, shoot, wait
from tests.support.signing_in import (
    CLAIMS,
    COLLEGE,
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
OAUTH = ("oidc", "google", "github", "microsoft")


#: People whom a provider does not really identify, with the message on the page.
DOUBTFUL: dict[str, list[tuple[dict[str, Any], str]]] = {
    "oidc": [({"email_verified": False}, "not verified"), ({"email": None}, "did not send your email")],
    "google": [({"email_verified": False}, "not verified"), ({"hd": None}, "private account")],
    "github": [({"login": f"amara.bello@{COLLEGE}"}, "does not know that name")],
    "microsoft": [
        ({"tid": "99999999-2222-3333-4444-555555555555"}, "another organisation"),
        ({"xms_edov": False, "preferred_username": f"x@{COLLEGE}"}, "does not know that name"),
    ],
}


#: The kinds share our code; one of them is enough for each run.
@pytest.fixture(scope="module", params=[OAUTH[0], *(pytest.param(kind, marks=pytest.mark.long) for kind in OAUTH[1:])])
def oauth(trial: Trial, request: pytest.FixtureRequest) -> Trial:
    """The hub with one kind after the other."""
    outcome = trial.switch(request.param)
    assert outcome["failed"] == 0
    assert outcome["changed"] > 0
    return trial


def test_work_done_under_a_password_is_there_under_the_next_kind(trial: Trial) -> None:
    """Runs before the first switch; later tests look for the file that is written here."""
    write_work_under_a_password(trial)


def test_a_student_of_the_class_gets_in_and_works(oauth: Trial) -> None:
    client, page = oauth.sign_in("student")
    with client:
        home_of(client, page)
        client.start_server()
        assert client.api("GET", "/api/contents/kept.txt").json()["content"] == "my work"
        # A link to a notebook goes on to it after the sign-in.
        kept = f"/user/{STUDENT}/lab/tree/kept.txt"
        again, page = oauth.sign_in("student", onward=kept)
        with again:
            assert (page.status_code, page.url) == (200, client.origin(kept) + kept)
        client.stop_server()


def test_a_sign_in_leads_to_nobody_elses_server(oauth: Trial) -> None:
    """The owner of that server could show a page that asks for the password again."""
    for lure in lures(oauth.client()):
        client, page = oauth.sign_in("student", onward=lure)
        with client:
            assert page.status_code == 200, (lure, page.url)
            assert page.url == f"{client.base}/hub/home", lure


def test_stranger_of_the_same_college_reads_what_to_do(oauth: Trial) -> None:
    client, page = oauth.sign_in("stranger")
    with client:
        said = refused(page)
        assert "Not on the class list" in said
        assert f"stranger{'' if oauth.kind == 'github' else '@' + COLLEGE}" in said
        assert client.get("/hub/home").url.startswith(f"{client.base}/hub/login")


def test_whom_the_provider_does_not_vouch_for_stays_out(oauth: Trial) -> None:
    people = oauth.provider.people
    good = people["student"]
    for claims, says in DOUBTFUL[oauth.kind]:
        people["student"] = {name: value for name, value in {**good, **claims}.items() if value is not None}
        oauth.provider.write()
        try:
            client, page = oauth.sign_in("student")
        finally:
            people["student"] = good
            oauth.provider.write()
        with client:
            assert says in refused(page), claims


def test_a_locked_account_is_signed_out_and_stays_out(oauth: Trial) -> None:
    client, page = oauth.sign_in("other", OTHER)
    with client:
        home_of(client, page)
        oauth.hub.run(f"usermod --lock --expiredate 1 {OTHER}")
        try:
            until("the end of the session", lambda: client.get("/hub/home").url != f"{client.base}/hub/home", 60)
            again, refusal = oauth.sign_in("other", OTHER)
            with again:
                assert "Not on the class list" in refused(refusal)
        finally:
            oauth.hub.run(f"usermod --unlock --expiredate '' {OTHER}")


def test_the_hubs_own_form_takes_no_students(oauth: Trial) -> None:
    """Neither the student's earlier password nor a form that imitates a provider's answer works."""
    secret = Passwords(oauth.hub.sandbox.project, "demo").read()[STUDENT].clear
    with oauth.client() as client:
        for fields in (
            {"username": STUDENT, "password": secret},
            {"username": "x", "password": "x", **CLAIMS["student"]},
        ):
            client.get("/hub/login")
            page = client.http.post(
                f"{client.base}/hub/login", data={**fields, "_xsrf": client._xsrf("/hub/")}, allow_redirects=False
            )
            assert page.status_code == 403


def test_an_answer_that_this_browser_never_asked_for_is_refused(oauth: Trial) -> None:
    with oauth.client() as client:
        assert "run out" in refused(client.get("/hub/oauth_callback?code=abc&state=abc"), 400)
        said = refused(client.get("/hub/oauth_callback?error=x&error_description=call+us&state=abc"), 400)
        assert "call us" not in said
    client, page = oauth.sign_in("")
    with client:
        assert "the person said no" in refused(page)


def test_hub_and_check_work_while_the_provider_is_down(trial: Trial) -> None:
    assert trial.switch("oidc")["failed"] == 0
    trial.provider.stop()
    try:
        trial.hub.run("systemctl restart jupyterhub")
        until("the hub while its provider is down", lambda: hub_answers(trial.hub), 120)
        with trial.client() as client:
            assert "The College does not answer" in refused(client.get("/hub/oauth_login"), 503)
        looked = trial.hub.sandbox.json("check", "demo", exit_code=1)
        assert [check["name"] for check in looked["checks"] if not check["ok"]] == [
            "provider", "provider secret",
        ]  # fmt: skip
    finally:
        trial.provider.start()
    looked = trial.hub.sandbox.json("check", "demo")
    assert looked["ok"], looked
    client, page = trial.sign_in("student")
    with client:
        home_of(client, page)


def test_who_is_taken_out_of_the_file_is_out_and_nobody_notices(trial: Trial) -> None:
    path = trial.hub.sandbox.project.course_file("demo")
    before = path.read_text(encoding="utf-8")
    main = trial.hub.run("systemctl show -p MainPID --value jupyterhub")
    leaver, page = trial.sign_in("other", OTHER)
    with leaver:
        home_of(leaver, page)
        document = yaml.safe_load(before)
        people = document["course"]["people"]
        people["students"] = [one for one in people["students"] if one["account"] != OTHER]
        path.write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
        try:
            outcome = trial.apply()
            assert {change["name"] for change in outcome["changes"]} == {
                "accounts-class", "homes-look", "/etc/jupyterhub/names.json", "/srv/jupyterhub/identities.json",
            }, outcome  # fmt: skip
            assert CLAIMS["other"]["email"].lower() not in str(outcome).lower()
            until("the end of the session", lambda: leaver.get("/hub/home").url != f"{leaver.base}/hub/home", 60)
            again, refusal = trial.sign_in("other", OTHER)
            with again:
                assert "Not on the class list" in refused(refusal)
        finally:
            path.write_text(before, encoding="utf-8")
            assert trial.apply()["failed"] == 0
    again, page = trial.sign_in("other", OTHER)
    with again:
        home_of(again, page)
    assert trial.hub.run("systemctl show -p MainPID --value jupyterhub") == main
    assert trial.apply()["changed"] == 0


def test_wrong_client_secret_is_not_the_students_fault(trial: Trial) -> None:
    kept = trial.provider.client_secret
    trial.provider.stop()
    trial.provider.client_secret = "another one"
    trial.provider.start()
    try:
        client, page = trial.sign_in("student")
        with client:
            assert "does not accept this hub" in refused(page, 500)
        looked = trial.hub.sandbox.json("check", "demo", exit_code=1)
        (bad,) = [check for check in looked["checks"] if not check["ok"]]
        assert bad["name"] == "provider secret"
        assert "'coursehub secrets set demo oauth-client-secret'" in bad["detail"]
    finally:
        trial.provider.stop()
        trial.provider.client_secret = kept
        trial.provider.start()


def test_a_browser_goes_to_the_college_and_comes_back_signed_in(trial: Trial, driver: webdriver.Chrome) -> None:
    """Only a browser shows which cookies are sent on the way back from another site."""
    if trial.kind != "oidc":
        assert trial.switch("oidc")["failed"] == 0
    driver.get(f"{trial.hub.document['url']}hub/home")
    button = wait(driver, "a[href*='oauth_login']")
    assert "The College" in button.text
    shoot(driver, "sign-in-oidc")
    press(driver, "a[href*='oauth_login']")
    wait(driver, "input[name='person']").send_keys("student", Keys.ENTER)
    signed_in(driver, trial, STUDENT)
    driver.get(f"{trial.hub.document['url']}hub/logout")
    press(driver, "#sign-out")
    wait(driver, "#login, a[href*='oauth_login']")
    driver.get(f"{trial.hub.document['url']}hub/home")
    assert wait(driver, "a[href*='oauth_login']")


def test_log_after_sign_ins_has_nobody_and_no_secret(trial: Trial) -> None:
    nobody_and_no_secret_is_in_a_log_or_open(trial)
