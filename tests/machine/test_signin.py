"""Every kind of sign-in on one real server: whom the provider vouches for and the roster knows gets in, nobody else.

The provider is panva's oidc-provider, the LMS a small platform that signs; both stand on the local cloud's own network
under a name of a college's own (browsers tell another site by its domain), with certificates that the server trusts.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from runner.hub.client import HubClient
from runner.people.passwords import Passwords
from tests.machine.test_hub import OTHER, PROFESSOR, STUDENT, hub_answers, until
from tests.support.authority import Authority
from tests.support.browser import browser, press, shoot, wait
from tests.support.hub import Hub
from tests.support.lti import Platform, new_key, submit
from tests.support.oidc import Provider

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

COLLEGE = "college.edu"
TENANT = "11111111-2222-3333-4444-555555555555"
OAUTH = ("oidc", "google", "github", "microsoft")
HELP = "help@college.edu"
#: What the providers say of people: a student of the class, one of the same college who is not, and the like.
CLAIMS: dict[str, dict[str, Any]] = {
    "student": {"email": f"Amara.Bello@{COLLEGE}", "login": "ABello", "preferred_username": f"amara.bello@{COLLEGE}"},
    "other": {"email": f"ben.carter@{COLLEGE}", "login": "bcarter", "preferred_username": f"ben.carter@{COLLEGE}"},
    "professor": {"email": f"rivera@{COLLEGE}", "login": "rivera", "preferred_username": f"rivera@{COLLEGE}"},
    "stranger": {"email": f"stranger@{COLLEGE}", "login": "stranger", "preferred_username": f"stranger@{COLLEGE}"},
}
#: Whom a provider does not really vouch for, with what the page says.
DOUBTFUL: dict[str, list[tuple[dict[str, Any], str]]] = {
    "oidc": [({"email_verified": False}, "not verified"), ({"email": None}, "did not tell your email")],
    "google": [({"email_verified": False}, "not verified"), ({"hd": None}, "private account")],
    "github": [({"login": f"amara.bello@{COLLEGE}"}, "does not know that name")],
    "microsoft": [
        ({"tid": "99999999-2222-3333-4444-555555555555"}, "another organisation"),
        ({"xms_edov": False, "preferred_username": f"x@{COLLEGE}"}, "does not know that name"),
    ],
}


@dataclass
class Trial:
    """The demo course with people whom providers know, and both kinds of providers."""

    hub: Hub
    provider: Provider
    platform: Platform
    bundle: Path
    authority: Authority
    kind: str = "password"

    def client(self, account: str = STUDENT) -> HubClient:
        return HubClient(self.hub.document["hostname"], account, self.bundle)

    def switch(self, kind: str) -> dict[str, Any]:
        """Change the course file to another kind, and apply; what changed."""
        project = self.hub.sandbox.project
        path = project.course_file("demo")
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["course"]["signin"] = {"kind": kind, **self.facts(kind)}
        path.write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
        self.school(kind)
        self.kind = kind
        return self.apply()

    def apply(self) -> dict[str, Any]:
        return self.hub.sandbox.json("apply", "demo")["courses"]["demo"]

    def facts(self, kind: str) -> dict[str, Any]:
        """The course file's ``signin``, besides its kind."""
        return {
            "password": {},
            "oidc": {"client_id": self.provider.client_id, "issuer": self.provider.issuer, "service": "The College"},
            "google": {"client_id": self.provider.client_id, "hosted_domain": COLLEGE},
            "github": {"client_id": self.provider.client_id},
            "microsoft": {"client_id": self.provider.client_id, "tenant": TENANT},
            "lti13": {
                "client_id": self.platform.client_id,
                "issuer": self.platform.issuer,
                "authorize_url": f"{self.platform.issuer}/authorize",
                "jwks_url": f"{self.platform.issuer}/jwks",
                "service": "Brightspace",
            },
        }[kind]

    def school(self, kind: str) -> None:
        """The school's own pillar: an authority to trust, and where Google, GitHub and Microsoft are here."""
        ours = self.provider.issuer
        profile = {"google": "/google/userinfo", "github": "/github/user"}
        traits: dict[str, Any] = {"authorize_url": f"{ours}/auth", "token_url": f"{ours}/token"}
        if kind in profile:
            traits["userdata_url"] = ours + profile[kind]
        if kind == "github":
            # The test provider gives no token for nothing; GitHub gives one for the public profile.
            traits["scope"] = ["openid"]
        name = {"google": "ClassGoogle", "github": "ClassGitHub", "microsoft": "ClassMicrosoft"}.get(kind)
        # Asked again at each request, so that no test waits for the minute to pass.
        config: dict[str, Any] = {"ClassAuthenticator": {"auth_refresh_age": 1}, **({name: traits} if name else {})}
        pillar = {
            "base": {"extra_ca": {"test-provider": self.authority.bundle.read_text(encoding="ascii")}},
            "jupyterhub": {"config": config},
        }
        site = self.hub.sandbox.root / "pillar" / "site.sls"
        kept = site.read_text(encoding="utf-8").partition("# of a test\n")[0]
        site.write_text(f"{kept}# of a test\n{yaml.safe_dump(pillar)}", encoding="utf-8")

    def sign_in(self, person: str, account: str = STUDENT) -> tuple[HubClient, requests.Response]:
        """From the hub to the provider's form, and back; the client and the page that the person ends at."""
        client = self.client(account)
        form = client.get("/hub/oauth_login?next=/hub/home")
        action = re.search(r'action="([^"]+)"', form.text)
        assert action, (form.url, form.text)
        return client, client.http.post(urljoin(form.url, action[1]), data={"person": person}, timeout=20)


def people_known(text: str) -> str:
    """The course file with what providers call three of its people, and whom to ask."""
    document = yaml.safe_load(text)
    course = document["course"]
    for role in course["people"].values():
        for one in role:
            person = {STUDENT: "student", OTHER: "other", PROFESSOR: "professor"}.get(one["account"])
            if person:
                # In other letters than the provider's.
                one["email"] = str(CLAIMS[person]["email"]).upper()
                one["github"] = str(CLAIMS[person]["login"]).lower()
    course["page"] = {**course.get("page", {}), "help": HELP}
    return "#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


@pytest.fixture(scope="module")
def trial(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    project = hub.sandbox.project
    course, site = project.course_file("demo"), project.root / "pillar" / "site.sls"
    before = {path: path.read_text(encoding="utf-8") for path in (course, site)}
    directory = tmp_path_factory.mktemp("signin")
    authority = Authority(directory)
    bundle = directory / "bundle.pem"
    bundle.write_bytes(Path(hub.document["ca_bundle"]).read_bytes() + authority.bundle.read_bytes())
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("COURSEHUB_KEYS", str(directory / "keys"))
        name, address = stack.enter_context(hub.elsewhere("college"))
        context = authority.server_context(name)
        certificate = authority.server_file(name)
        redirect = f"https://{hub.document['hostname']}/hub/oauth_callback"
        provider = Provider(directory, name, address, 9443, certificate, redirect, {})
        provider.people = {
            person: {"email_verified": True, "hd": COLLEGE, "tid": TENANT, **claims}
            for person, claims in CLAIMS.items()
        }
        platform = Platform(name, address, 9444, context, {who: str(CLAIMS[who]["email"]) for who in CLAIMS})
        provider.install()
        provider.start()
        stack.callback(provider.stop)
        platform.start()
        stack.callback(platform.stop)
        course.write_text(people_known(before[course]), encoding="utf-8")
        subprocess.run(
            [sys.executable, "-m", "runner", "secrets", "set", "demo", "oauth-client-secret"],
            env=hub.sandbox.env, cwd=project.root, input=provider.client_secret, text=True, check=True,
        )  # fmt: skip
        try:
            yield Trial(hub, provider, platform, bundle, authority)
        finally:
            for path, text in before.items():
                path.write_text(text, encoding="utf-8")
            shutil.rmtree(project.secrets, ignore_errors=True)
            hub.sandbox.json("apply", "demo")


@pytest.fixture
def driver(trial: Trial, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """A browser on a computer that trusts the hub's authority and the college's."""
    with browser(trial.hub, tmp_path, request.node.name, trial.authority.bundle) as driver:
        yield driver


@pytest.fixture(scope="module", params=OAUTH)
def oauth(trial: Trial, request: pytest.FixtureRequest) -> Trial:
    """The hub under one kind after the other."""
    outcome = trial.switch(request.param)
    assert outcome["failed"] == 0
    assert outcome["changed"] > 0
    return trial


@pytest.fixture(scope="module")
def lti(trial: Trial) -> Trial:
    assert trial.switch("lti13")["failed"] == 0
    return trial


def home_of(client: HubClient, page: requests.Response) -> None:
    """The person is in: at the hub's own page, under their name."""
    assert page.status_code == 200, page.text[-2000:]
    assert page.url == f"{client.base}/hub/home"


def refused(page: requests.Response, status: int = 403) -> str:
    """What a page says that refuses somebody and tells whom to ask."""
    assert page.status_code == status, (page.status_code, page.url)
    words = " ".join(re.sub(r"<[^>]+>", " ", page.text[page.text.index('class="error"') :]).split())
    assert HELP in words
    return words


def test_work_done_under_a_password_is_there_under_the_next_kind(trial: Trial) -> None:
    """Before the first switch; what the others find is written here."""
    with trial.hub.sandbox.client(trial.hub.document, STUDENT) as client:
        client.start_server()
        client.api("PUT", "/api/contents/kept.txt", json={"type": "file", "format": "text", "content": "my work"})
        client.stop_server()


def test_a_student_of_the_class_gets_in_and_works(oauth: Trial) -> None:
    client, page = oauth.sign_in("student")
    with client:
        home_of(client, page)
        client.start_server()
        assert client.api("GET", "/api/contents/kept.txt").json()["content"] == "my work"
        client.stop_server()


def test_a_stranger_of_the_same_college_is_told_what_to_do(oauth: Trial) -> None:
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
    """Neither the password that a student had before, nor a form that plays a provider's word."""
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


def test_hub_and_look_from_outside_work_while_the_provider_is_down(trial: Trial) -> None:
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
                "accounts-class", "/srv/jupyterhub/identities.json",
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


def test_a_wrong_client_secret_is_said_to_be_no_fault_of_the_student(trial: Trial) -> None:
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


def signed_in(driver: webdriver.Chrome, trial: Trial, account: str) -> None:
    """The browser ends at a page of the hub that knows who it is."""
    wait(driver, "#logout")
    assert driver.current_url.startswith(trial.hub.document["url"])
    assert account in driver.find_element(By.CSS_SELECTOR, "#login_widget").text


def test_a_browser_goes_to_the_college_and_comes_back_signed_in(trial: Trial, driver: webdriver.Chrome) -> None:
    """What requests do not know: which cookies a browser gives back on its way from another site."""
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


def test_a_launch_from_the_lms_signs_a_student_in(lti: Trial) -> None:
    with lti.client() as client:
        assert "Brightspace" in client.get("/hub/login").text
        form = lti.platform.click(client, "student")
        cookies = [cookie for cookie in client.http.cookies if cookie.name.startswith("lti13authenticator")]
        assert len(cookies) == 2
        for cookie in cookies:
            # Without both a browser keeps them back on the way from the LMS.
            assert cookie.secure
            assert cookie.get_nonstandard_attr("SameSite") == "None"
        home_of(client, submit(client, form))
        client.start_server()
        assert client.api("GET", "/api/contents/kept.txt").json()["content"] == "my work"
        # A link in the LMS may lead to a notebook.
        page = submit(client, lti.platform.click(client, "student", "/hub/user-redirect/lab/tree/kept.txt"))
        kept = f"/user/{STUDENT}/lab/tree/kept.txt"
        assert page.url == client.origin(kept) + kept
        client.stop_server()


def test_a_browser_that_comes_from_the_lms_is_signed_in(lti: Trial, driver: webdriver.Chrome) -> None:
    """A form of another site begins the visit, and one ends it."""
    hub = lti.hub.document["url"].rstrip("/")
    driver.get(lti.platform.course_page("student", hub))
    press(driver, "button")
    signed_in(driver, lti, STUDENT)


def test_a_launch_of_a_stranger_is_refused(lti: Trial) -> None:
    with lti.client() as client:
        assert "Not on the class list" in refused(submit(client, lti.platform.click(client, "stranger")))
    with lti.client() as client:
        # An LMS that does not tell addresses.
        assert "did not tell your email" in refused(submit(client, lti.platform.click(client, "nobody")))


#: What is changed in a launch before the platform signs it.
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
                # Times are counted from now, in seconds.
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
            # Even with all that the browser had.
            thief.http.cookies.update(before)
            assert "used before" in refused(submit(thief, form), 400)


def test_only_a_launch_signs_in(lti: Trial) -> None:
    """The library takes the hub's own form for a launch that was checked already."""
    with lti.client() as client:
        client.get("/hub/login")
        page = client.http.post(
            f"{client.base}/hub/login",
            data={"email": CLAIMS["student"]["email"], "username": "x", "_xsrf": client._xsrf("/hub/")},
            allow_redirects=False,
        )
        assert page.status_code == 403
        assert "Brightspace" in refused(client.get("/hub/lti13/oauth_login"), 400)


def test_nobody_and_no_secret_is_in_a_log_or_open(trial: Trial) -> None:
    log = trial.hub.run(
        "journalctl -u jupyterhub -u jupyterhub-proxy -o cat --no-pager; cat /var/log/nginx/*.log"
    ).lower()
    for claims in CLAIMS.values():
        assert str(claims["email"]).lower() not in log
    assert trial.provider.client_secret not in log
    # Of an address: systemd's own lines say "code=exited".
    assert re.findall(r"[?&](?:code|state|nonce|login_hint)=(?!\[secret\])", log) == []
    # How a signed launch begins.
    assert "eyjhbgcioi" not in log
    assert trial.hub.run("stat -c %U:%a /srv/jupyterhub/identities.json").strip() == "root:600"
    kept = trial.hub.run("cat /etc/jupyterhub/jupyterhub_config.py")
    assert "bello" not in kept
    assert trial.provider.client_secret not in kept
