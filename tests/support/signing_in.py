"""The demo course with a sign-in provider and an LMS, for tests of each kind of sign-in."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
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

from runner.hub.client import HubClient
from tests.machine.test_hub import OTHER, PROFESSOR, STUDENT
from tests.support.authority import Authority
from tests.support.browser import browser, wait
from tests.support.hub import Hub
from tests.support.lti import Platform
from tests.support.oidc import Provider

COLLEGE = "college.edu"
TENANT = "11111111-2222-3333-4444-555555555555"
HELP = "help@college.edu"

#: Where a link through a sign-in must not lead: {other} is another student's account, {host} the hub's name.
LURES = (
    "/user/{other}/lab",
    "/hub/user/{other}/files/false.html",
    "/hub/spawn/{other}",
    "/user%2f{other}/lab",
    "https://{other}.{host}/user/{other}/lab",
    "https://evil.example/hub/home",
)

#: The providers' claims about people: a student of the class, a stranger from the same college, and so on.
CLAIMS: dict[str, dict[str, Any]] = {
    "student": {"email": f"Amara.Bello@{COLLEGE}", "login": "ABello", "preferred_username": f"amara.bello@{COLLEGE}"},
    "other": {"email": f"ben.carter@{COLLEGE}", "login": "bcarter", "preferred_username": f"ben.carter@{COLLEGE}"},
    "professor": {"email": f"rivera@{COLLEGE}", "login": "rivera", "preferred_username": f"rivera@{COLLEGE}"},
    "stranger": {"email": f"stranger@{COLLEGE}", "login": "stranger", "preferred_username": f"stranger@{COLLEGE}"},
}


@dataclass
class Trial:
    """The demo course with people whom the providers know, and both kinds of providers."""

    hub: Hub
    provider: Provider
    platform: Platform
    bundle: Path
    authority: Authority
    kind: str = "password"

    def client(self, account: str = STUDENT) -> HubClient:
        return HubClient(self.hub.document["hostname"], account, self.bundle)

    def switch(self, kind: str) -> dict[str, Any]:
        """Change the course file to another kind and apply; return what changed."""
        project = self.hub.sandbox.project
        path = project.course_file(self.hub.course)
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["course"]["signin"] = {"kind": kind, **self.facts(kind)}
        path.write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
        self.school(kind)
        self.kind = kind
        return self.apply()

    def apply(self) -> dict[str, Any]:
        return self.hub.sandbox.json("apply", self.hub.course)["courses"][self.hub.course]

    def facts(self, kind: str) -> dict[str, Any]:
        """The course file's ``signin``, without its kind."""
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
        """The school's own pillar: an extra authority, and the test's addresses of Google, GitHub and Microsoft."""
        ours = self.provider.issuer
        profile = {"google": "/google/userinfo", "github": "/github/user"}
        traits: dict[str, Any] = {"authorize_url": f"{ours}/auth", "token_url": f"{ours}/token"}
        if kind in profile:
            traits["userdata_url"] = ours + profile[kind]
        if kind == "github":
            # The test provider gives no token without a scope; GitHub gives one for the public profile.
            traits["scope"] = ["openid"]
        name = {"google": "ClassGoogle", "github": "ClassGitHub", "microsoft": "ClassMicrosoft"}.get(kind)
        # Checked at every request, so that no test waits for the usual minute.
        config: dict[str, Any] = {"ClassAuthenticator": {"auth_refresh_age": 1}, **({name: traits} if name else {})}
        pillar = {
            "base": {"extra_ca": {"test-provider": self.authority.bundle.read_text(encoding="ascii")}},
            "jupyterhub": {"config": config},
        }
        site = self.hub.sandbox.root / "pillar" / "site.sls"
        kept = site.read_text(encoding="utf-8").partition("# of a test\n")[0]
        site.write_text(f"{kept}# of a test\n{yaml.safe_dump(pillar)}", encoding="utf-8")

    def sign_in(
        self, person: str, account: str = STUDENT, onward: str = "/hub/home"
    ) -> tuple[HubClient, requests.Response]:
        """From the hub to the provider's form, back, and to ``onward``; return the client and the last page."""
        client = self.client(account)
        form = client.get("/hub/oauth_login", params={"next": onward})
        action = re.search(r'action="([^"]+)"', form.text)
        assert action, (form.url, form.text)
        return client, client.http.post(urljoin(form.url, action[1]), data={"person": person}, timeout=20)


def people_known(text: str) -> str:
    """The course file with the providers' identities of three people, and a help address."""
    document = yaml.safe_load(text)
    course = document["course"]
    for role in course["people"].values():
        for one in role:
            person = {STUDENT: "student", OTHER: "other", PROFESSOR: "professor"}.get(one["account"])
            if person:
                # In different case than the provider's.
                one["email"] = str(CLAIMS[person]["email"]).upper()
                one["github"] = str(CLAIMS[person]["login"]).lower()
    course["page"] = {**course.get("page", {}), "help": HELP}
    return "#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


@pytest.fixture(scope="module")
def trial(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    project = hub.sandbox.project
    course, site = project.course_file(hub.course), project.root / "pillar" / "site.sls"
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
            [sys.executable, "-m", "runner", "secrets", "set", hub.course, "oauth-client-secret"],
            env=hub.sandbox.env, cwd=project.root, input=provider.client_secret, text=True, check=True,
        )  # fmt: skip
        try:
            yield Trial(hub, provider, platform, bundle, authority)
        finally:
            for path, text in before.items():
                path.write_text(text, encoding="utf-8")
            shutil.rmtree(project.secrets, ignore_errors=True)
            hub.sandbox.json("apply", hub.course)


@pytest.fixture
def driver(trial: Trial, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """A browser on a computer that trusts the hub's authority and the college's."""
    with browser(trial.hub, tmp_path, request.node.name, trial.authority.bundle) as driver:
        yield driver


def write_work_under_a_password(trial: Trial) -> None:
    """A file that the student must find again under each kind of sign-in."""
    with trial.hub.sandbox.client(trial.hub.document, STUDENT) as client:
        client.start_server()
        client.api("PUT", "/api/contents/kept.txt", json={"type": "file", "format": "text", "content": "my work"})
        client.stop_server()


def home_of(client: HubClient, page: requests.Response) -> None:
    """Check that the person is signed in, on the hub's own page."""
    assert page.status_code == 200, page.text[-2000:]
    assert page.url == f"{client.base}/hub/home"


def lures(client: HubClient) -> list[str]:
    """The addresses of LURES for this hub."""
    return [lure.format(other=OTHER, host=client.hostname) for lure in LURES]


def refused(page: requests.Response, status: int = 403) -> str:
    """Check that the page refuses somebody and names the help address; return its text."""
    assert page.status_code == status, (page.status_code, page.url)
    words = " ".join(re.sub(r"<[^>]+>", " ", page.text[page.text.index('class="error"') :]).split())
    assert HELP in words
    return words


def signed_in(driver: webdriver.Chrome, trial: Trial, account: str) -> None:
    """Check that the browser is on a page of the hub that shows the account."""
    wait(driver, "#logout")
    assert driver.current_url.startswith(trial.hub.document["url"])
    assert account in driver.find_element(By.CSS_SELECTOR, "#login_widget").text


def nobody_and_no_secret_is_in_a_log_or_open(trial: Trial) -> None:
    """For the last test of a file: no address, code, token or secret is readable by others."""
    log = trial.hub.run(
        "journalctl -u jupyterhub -u jupyterhub-proxy -o cat --no-pager; cat /var/log/nginx/*.log"
    ).lower()
    for claims in CLAIMS.values():
        assert str(claims["email"]).lower() not in log
    assert trial.provider.client_secret not in log
    # Only in an address, because systemd's own lines contain "code=exited".
    assert re.findall(r"[?&](?:code|state|nonce|login_hint)=(?!\[secret\])", log) == []
    # The beginning of a signed launch.
    assert "eyjhbgcioi" not in log
    assert trial.hub.run("stat -c %U:%a /srv/jupyterhub/identities.json").strip() == "root:600"
    kept = trial.hub.run("cat /etc/jupyterhub/jupyterhub_config.py")
    assert "bello" not in kept
    assert trial.provider.client_secret not in kept
