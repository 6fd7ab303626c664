"""The check from outside, including the student, against a hub over real TLS, HTTP and websockets on loopback."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest

from runner.hub import checks
from runner.hub import client as hubclient
from runner.hub.checks import Check, Target
from runner.hub.client import HubClient, HubFailure
from tests.support.authority import Authority
from tests.support.names import Names
from tests.support.stand_in_hub import PASSWORD, USER, Behaviour, Hub, serve

pytestmark = pytest.mark.unit

ADDRESS = "127.31.18.77"
HOSTS = ("hub.test", "www.hub.test")


@dataclass
class Outside:
    """A hub, its names, and its certificate's authority."""

    hub: Hub
    names: Names
    authority: Authority

    def target(self, *hostnames: str, password: str = PASSWORD, trusted: bool = True) -> Target:
        bundle = self.authority.bundle if trusted else None
        return Target(hostnames or HOSTS, ADDRESS, bundle, USER, password)

    def look(self, target: Target | None = None) -> dict[str, Check]:
        return {check.name: check for check in checks.look(target or self.target(), lambda _: None)}

    def behave(self, **changes: object) -> None:
        for name, value in changes.items():
            assert hasattr(Behaviour, name)
            setattr(self.hub.behaviour, name, value)

    def student(self) -> HubClient:
        return HubClient(HOSTS[0], USER, self.authority.bundle)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Names; every port without a server leads to one where nothing listens."""
    with socket.socket() as nobody:
        nobody.bind((ADDRESS, 0))
        made = Names(dict.fromkeys(HOSTS, ADDRESS), closed=nobody.getsockname()[1])
        made.install(monkeypatch)
        yield made


Opened = Callable[..., Outside]


@pytest.fixture
def opened(authority: Authority, names: Names) -> Iterator[Opened]:
    """Serve a hub with a certificate for these names."""
    with contextlib.ExitStack() as stack:

        def start(*certified: str, days: float = 90, self_signed: bool = False) -> Outside:
            context = authority.server_context(*(certified or HOSTS), days=days, self_signed=self_signed)
            hub = stack.enter_context(serve(Hub(), ADDRESS, context))
            names.ports |= {443: hub.https_port, 80: hub.http_port}
            return Outside(hub, names, authority)

        yield start


@pytest.fixture
def outside(opened: Opened) -> Outside:
    """A hub without faults."""
    return opened()


@pytest.fixture
def student(outside: Outside) -> Iterator[HubClient]:
    """A signed-in student."""
    with outside.student() as client:
        client.sign_in(PASSWORD)
        yield client


@pytest.mark.parametrize("right", [True, False])
def test_an_old_address_is_waited_for(outside: Outside, monkeypatch: pytest.MonkeyPatch, right: bool) -> None:
    """Only if the account's DNS is right already, the check waits for a name that still points elsewhere."""
    answers = iter(["192.0.2.99", "192.0.2.99", ADDRESS, ADDRESS, ADDRESS])
    monkeypatch.setattr(checks, "SPREAD_PAUSE", 0.0)
    monkeypatch.setattr(checks.socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", (next(answers), 443))])
    said: list[str] = []
    target = replace(outside.target(HOSTS[0]), is_set=lambda _: right)
    if right:
        assert checks._names(target, said.append).endswith(f"-> {ADDRESS}")
        assert said == [f"waiting until DNS forgets the old address of {HOSTS[0]}"] * 2
    else:
        with pytest.raises(checks.HubFailure, match=r"points at 192\.0\.2\.99 instead"):
            checks._names(target, said.append)
        assert said == []


def test_a_hub_in_good_order_passes_and_nothing_is_left_running(outside: Outside) -> None:
    told: list[str] = []
    looked = checks.look(outside.target(), told.append)
    assert [(check.name, check.ok) for check in looked] == [
        (name, True)
        for name in ("dns", "ipv6", "certificate", "redirect", "closed", "login page", "sign-in", "server", "kernel")
    ]
    assert told == [check.name for check in looked]
    found = {check.name: check.detail for check in looked}
    assert found["dns"] == f"hub.test, www.hub.test -> {ADDRESS}"
    assert found["certificate"] == "trusted for every name, 89 days left"
    assert found["kernel"] == "5 * 4 = 20, over the websocket"
    assert not outside.hub.running
    assert outside.hub.stopped == 1
    assert outside.hub.kernels == set()


@pytest.mark.parametrize(
    ("ip6", "record", "says"),
    [
        (None, None, "the server has none"),
        (None, "2001:db8::9", "the AAAA record of hub.test says 2001:db8::9 instead of nothing"),
        ("2001:db8::7", "2001:db8::9", "says 2001:db8::9 instead of 2001:db8::7"),
        ("::1", "::1", "hub.test answers at ::1"),
    ],
)
def test_both_families_are_looked_at(
    outside: Outside, authority: Authority, monkeypatch: pytest.MonkeyPatch, ip6: str | None, record: str, says: str
) -> None:
    resolve = socket.getaddrinfo

    def also(host: str, port: int, family: int = 0, *rest: int) -> object:
        if host in HOSTS and family == socket.AF_INET6:
            return [(family, 1, 6, "", (record, port, 0, 0))] if record else []
        return resolve(host, outside.names.ports.get(port, port) if host == "::1" else port, family, *rest)

    with serve(Hub(), "::1", authority.server_context(*HOSTS)) as hub:
        outside.names.ports[443] = hub.https_port
        monkeypatch.setattr(socket, "getaddrinfo", also)
        looked = checks._run("ipv6", checks._ipv6, replace(outside.target(), ip6=ip6))
    assert says in looked.detail
    assert looked.ok == ("says 2001" not in says and "of hub.test" not in says)


def test_a_hub_that_is_not_there_fails_each_look_with_a_line(names: Names, authority: Authority) -> None:
    target = Outside(Hub(), names, authority).target()
    looked = {check.name: check for check in checks.look(target, lambda _: None)}
    assert looked["dns"].ok
    assert looked["closed"].ok
    for name in ("certificate", "redirect"):
        assert looked[name].detail == "hub.test does not answer: connection refused"
    assert looked["login page"].detail == "hub.test does not answer: connection refused"
    assert looked["sign-in"].detail == "hub.test does not answer: connection refused"
    # Checks that need a signed-in person are skipped without one.
    assert "server" not in looked
    assert all(check.detail for check in looked.values())


def test_a_name_without_an_address_says_which_record_to_make(outside: Outside) -> None:
    del outside.names.addresses["www.hub.test"]
    dns = outside.look()["dns"]
    assert not dns.ok
    assert dns.detail.startswith(f"www.hub.test has no address: make an A record for {ADDRESS}")


def test_a_name_that_points_elsewhere_names_both_addresses(outside: Outside) -> None:
    outside.names.addresses["www.hub.test"] = "127.31.18.78"
    dns = outside.look()["dns"]
    assert not dns.ok
    assert f"www.hub.test points at 127.31.18.78 instead of {ADDRESS}" in dns.detail


@pytest.mark.parametrize(
    ("certified", "options", "says"),
    [
        (("other.test",), {}, "browsers will warn at hub.test: Hostname mismatch"),
        (("hub.test",), {}, "browsers will warn at www.hub.test: Hostname mismatch"),
        (HOSTS, {"days": -1}, "browsers will warn at hub.test: certificate has expired"),
        (HOSTS, {"self_signed": True}, "browsers will warn at hub.test: self-signed certificate"),
        (HOSTS, {"days": 10.5}, "only 10 days left; renewal has failed: run apply"),
    ],
    ids=["wrong-name", "www-forgotten", "expired", "self-signed", "not-renewed"],
)
def test_a_certificate_that_is_not_right(
    opened: Opened, certified: tuple[str, ...], options: dict[str, float], says: str
) -> None:
    certificate = opened(*certified, **options).look()["certificate"]
    assert not certificate.ok
    assert certificate.detail.startswith(says)


def test_unknown_authority_is_not_trusted(outside: Outside) -> None:
    looked = outside.look(outside.target(trusted=False))
    assert "browsers will warn at hub.test" in looked["certificate"].detail
    assert looked["login page"].detail == "the certificate of hub.test is not trusted"
    assert not looked["sign-in"].ok


@pytest.mark.parametrize("where", [None, "http://{host}/hub", "https://elsewhere.test/"])
def test_plain_http_must_lead_to_https_of_the_same_name(outside: Outside, where: str | None) -> None:
    outside.behave(redirect_to=where)
    redirect = outside.look()["redirect"]
    assert not redirect.ok
    assert redirect.detail.startswith("plain HTTP is not sent on to HTTPS (HTTP ")


@pytest.mark.parametrize("port", checks.INSIDE)
def test_an_inner_port_that_answers_is_found(outside: Outside, port: int) -> None:
    outside.names.ports[port] = outside.hub.http_port
    closed = outside.look()["closed"]
    assert (closed.ok, closed.detail) == (
        False,
        f"port {port} answers from outside: the firewall is open; run apply",
    )


@pytest.mark.parametrize("broken", [{"login_page_status": 502}, {"login_page": "<h1>Welcome to nginx!</h1>"}])
def test_a_page_without_a_form_is_no_login_page(outside: Outside, broken: dict[str, object]) -> None:
    outside.behave(**broken)
    page = outside.look()["login page"]
    assert not page.ok
    assert page.detail == f"no login page (HTTP {broken.get('login_page_status', 200)})"


@pytest.mark.parametrize(
    ("provider", "ok", "says"),
    [
        ("https://login.test/auth?redirect_uri={uri}&client_id=x", True, "people are sent to login.test"),
        (None, False, "the sign-in service does not answer the hub, so nobody new gets in; look whether it is up"),
        (
            "https://login.test/auth?redirect_uri=http%3A%2F%2Fhub.test%2Fhub%2Foauth_callback",
            False,
            "the hub does not send people to the sign-in service (HTTP 302); run apply",
        ),
    ],
)
def test_redirect_to_the_sign_in_provider_is_checked(
    outside: Outside, provider: str | None, ok: bool, says: str
) -> None:
    uri = "https://hub.test/hub/oauth_callback"
    outside.behave(
        login_page='<div class="service-login"><a href="/hub/oauth_login">Sign in with College</a></div>',
        provider=provider and provider.format(uri=quote(uri, safe="")),
    )
    looked = outside.look(replace(outside.target(), redirect_uri=uri))
    assert (looked["provider"].ok, looked["provider"].detail) == (ok, says)
    # The check's own account can still sign in with the hub's form.
    assert looked["login page"].ok
    assert looked["sign-in"].ok


def test_by_password_no_provider_is_looked_for(outside: Outside) -> None:
    assert "provider" not in outside.look()


def test_a_wrong_password_ends_the_look_and_starts_nothing(outside: Outside) -> None:
    looked = outside.look(outside.target(password="wrong"))
    assert looked["login page"].ok
    assert looked["sign-in"].detail == f"signing in as {USER} was refused (HTTP 403)"
    assert list(looked)[-1] == "sign-in"
    assert not outside.hub.running


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"spawn_status": 403}, "the hub would not start a server (HTTP 403)"),
        ({"progress_status": 404}, "the hub gives no news of the server (HTTP 404)"),
        ({"lab_status": 500}, "the server started but shows HTTP 500"),
        (
            {"progress": ({"progress": 0, "message": "Server requested"},)},
            "the server did not become ready: Server requested",
        ),
        (
            {"progress": ({"failed": True, "message": "Spawn failed: Timeout"},)},
            "the server did not start: Spawn failed: Timeout",
        ),
        ({"progress": ({"failed": True},)}, "the server did not start: no reason given"),
    ],
    ids=["refused", "no-news", "lab", "stream-ends", "failed", "failed-silently"],
)
def test_a_server_that_does_not_start(outside: Outside, broken: dict[str, object], says: str) -> None:
    outside.behave(**broken)
    looked = outside.look()
    assert looked["sign-in"].ok
    assert (looked["server"].ok, looked["server"].detail) == (False, says)
    assert "kernel" not in looked
    # Half-started or not: the check asks the hub to stop it.
    assert outside.hub.stopped == 1


def test_a_stream_that_fell_silent_is_given_up(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that was restarted: the proxy in front of it keeps the stream open."""
    monkeypatch.setattr(hubclient, "SILENT_SECONDS", 1)
    outside.behave(progress=({"progress": 0, "message": "Server requested"},), progress_stays=True)
    began = time.monotonic()
    assert outside.look()["server"].detail == "the hub's news of the server ended: no answer in time"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"kernels_status": 500}, "POST /api/kernels on the server failed (HTTP 500)"),
        ({"channels_status": 404}, "the websocket to the kernel does not open (WebSocketBadStatusException)"),
        ({"kernel": "dies"}, "the kernel died"),
        ({"kernel": "hangs up"}, "the kernel stopped answering (JSONDecodeError)"),
        ({"kernel": "babbles"}, "the kernel stopped answering (JSONDecodeError)"),
        ({"kernel": "miscounts"}, "a kernel computed 5 * 4 = '21'"),
    ],
    ids=["refused", "no-websocket", "dies", "hangs-up", "babbles", "miscounts"],
)
def test_a_kernel_that_does_not_compute(outside: Outside, broken: dict[str, object], says: str) -> None:
    outside.behave(**broken)
    looked = outside.look()
    assert looked["server"].ok
    assert (looked["kernel"].ok, looked["kernel"].detail) == (False, says)
    assert outside.hub.kernels == set()
    assert not outside.hub.running


def test_what_a_kernel_prints_returns_and_raises(student: HubClient) -> None:
    student.start_server()
    with student.kernel() as kernel:
        assert kernel.run("import math\nfor n in range(3): print(n)") == "0\n1\n2"
        assert kernel.run("6 * 7") == "42"
        assert kernel.run("pass") == ""
        with pytest.raises(HubFailure, match="ZeroDivisionError: division by zero"):
            kernel.run("1 / 0")


@pytest.mark.parametrize(
    ("kernel", "says"),
    [("silent", r"stopped answering \(WebSocketTimeoutException\)"), ("chatters", "did not answer in time")],
)
def test_a_kernel_that_never_answers_is_given_up(outside: Outside, student: HubClient, kernel: str, says: str) -> None:
    outside.behave(kernel=kernel)
    student.start_server()
    with student.kernel() as started, pytest.raises(HubFailure, match=says):
        started.run("1", seconds=0.3)


def test_a_server_that_runs_is_used_and_not_started_again(outside: Outside, student: HubClient) -> None:
    student.start_server()
    outside.behave(progress_status=404, spawn_status=500)
    student.start_server()
    student.stop_server()
    student.stop_server()
    with pytest.raises(HubFailure, match="would not start a server"):
        student.start_server()


def test_silent_hub_is_distinguished_from_a_refusing_one(outside: Outside, student: HubClient) -> None:
    outside.names.ports.clear()
    student.http.close()
    with pytest.raises(HubFailure, match=r"hub\.test does not answer: connection refused"):
        student.start_server()


def test_a_client_without_a_session_gets_nothing(outside: Outside) -> None:
    with outside.student() as stranger:
        with pytest.raises(HubFailure, match="would not start"):
            stranger.start_server()
        with pytest.raises(HubFailure, match="HTTP 403"):
            stranger.api("GET", "/lab")


def test_settings_of_the_teachers_shell_do_not_decide(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not exist and an invalid CA file: the check must ignore them."""
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9/")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Path("/dev/null")))
    assert outside.look(outside.target())["login page"].ok
    assert outside.look()["redirect"].ok
    assert hubclient.PAGE_SECONDS <= 30
