"""The check of a hub from outside, as a student: name, certificate, page, sign-in, server, kernel."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests

from runner.agreed import INNER_PORTS
from runner.hub.client import PAGE_SECONDS, HubClient, HubFailure, cause_of

#: A certificate with fewer days left should have been renewed: Let's Encrypt renews at 30 of 90.
CERTIFICATE_DAYS = 20
#: Seconds until every resolver has dropped a record's old address (its TTL and a little more), and seconds between two
#: tries.
SPREAD_SECONDS, SPREAD_PAUSE = 330.0, 5.0
#: Ports that must not answer from outside: first those that students' programs often use, then our own.
INSIDE = (5000, 8000, 8001, 8080, 8888, *INNER_PORTS)


@dataclass(frozen=True)
class Check:
    """The result of one check; ``detail`` says in plain words what was found."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Target:
    """What to check: names, the server's address, the CA to trust (None: the system's), whom to sign in as.

    ``redirect_uri`` is the address to which a provider sends people back; None for sign-in by password or from the LMS.
    """

    hostnames: tuple[str, ...]
    ip: str
    ca_bundle: Path | None
    username: str
    password: str
    redirect_uri: str | None = None
    below: str = ""
    """One of the names that servers have of their own; empty where they have none."""
    is_set: Callable[[str], bool] = lambda _hostname: False
    """Whether whoever serves a name says the server's address for it already; others may remember the old one yet."""
    ip6: str | None = None
    """The server's IPv6 address; None for a server that has none."""
    makes_records: str = ""
    """The command that makes a missing DNS record; empty where the teacher makes them by hand."""

    @property
    def all_names(self) -> tuple[str, ...]:
        """All names to try, including one for servers."""
        return (*self.hostnames, *filter(None, [self.below]))

    @property
    def wildcard(self) -> str:
        """The name of the record that points to all servers."""
        return f"*.{self.hostnames[0]}"


def look(target: Target, progress: Callable[[str], None]) -> list[Check]:
    """All checks in order. After a failure, the checks that do not depend on it still run."""
    checks: list[Check] = []
    for name, function in (
        ("dns", lambda target: _names(target, progress)),
        ("ipv6", _ipv6),
        ("certificate", _certificate),
        ("redirect", _redirect),
        ("closed", _closed),
        ("login page", _login_page),
        *((("provider", _provider),) if target.redirect_uri else ()),
    ):
        progress(name)
        checks.append(_run(name, function, target))
    checks.extend(_as_student(target, progress))
    return checks


def look_as_student(target: Target, progress: Callable[[str], None]) -> list[Check]:
    """Only what depends on the hub itself: its login page, sign-in, server, kernel."""
    progress("login page")
    return [_run("login page", _login_page, target), *_as_student(target, progress)]


def _run(name: str, function: Callable[[Target], str], target: Target) -> Check:
    try:
        return Check(name, True, function(target))
    except (OSError, requests.RequestException) as error:
        return Check(name, False, f"{target.hostnames[0]} does not answer: {cause_of(error)}")
    except (HubFailure, ValueError, KeyError) as error:
        return Check(name, False, str(error) or type(error).__name__)


def _names(target: Target, progress: Callable[[str], None]) -> str:
    for hostname in target.all_names:
        record = f"A record{f' {target.wildcard}' if hostname == target.below else ''}"
        try:
            addresses = _addresses(target, hostname, progress)
        except socket.gaierror as error:
            todo = f"'{target.makes_records}' makes the record" if target.makes_records else f"make an {record}"
            raise HubFailure(
                f"{hostname} has no address: {todo} for {target.ip}; a record that was just made needs some minutes"
            ) from error
        if addresses != {target.ip}:
            todo = f"'{target.makes_records}' corrects the" if target.makes_records else "correct its"
            raise HubFailure(
                f"{hostname} points at {', '.join(sorted(addresses))} instead of {target.ip}: {todo} {record}; one "
                "that was just changed needs some minutes"
            )
    shown = [target.wildcard if hostname == target.below else hostname for hostname in target.all_names]
    return f"{', '.join(shown)} -> {target.ip}"


def _addresses(target: Target, hostname: str, progress: Callable[[str], None]) -> set[str]:
    """The addresses of a name as seen from here. If the record is right, wait until its old address is forgotten."""
    deadline = time.monotonic() + SPREAD_SECONDS
    while True:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(hostname, 443, socket.AF_INET)}
        if addresses == {target.ip} or time.monotonic() > deadline or not target.is_set(hostname):
            return addresses
        progress(f"waiting until DNS forgets the old address of {hostname}")
        time.sleep(SPREAD_PAUSE)


def _ipv6(target: Target) -> str:
    """The other half of the internet: phones often have no IPv4 of their own."""
    for hostname in target.all_names:
        found = _addresses6(hostname)
        if found - {target.ip6}:
            todo = f"'{target.makes_records}' corrects it" if target.makes_records else "correct or remove it"
            raise HubFailure(
                f"the AAAA record of {hostname} says {', '.join(sorted(found))} instead of {target.ip6 or 'nothing'}: "
                f"{todo}"
            )
    if not target.ip6:
        return "the server has none, so everybody comes by IPv4"
    context = ssl.create_default_context(cafile=str(target.ca_bundle) if target.ca_bundle else None)
    try:
        with (
            socket.create_connection((target.ip6, 443), 10) as raw,
            context.wrap_socket(raw, server_hostname=target.hostnames[0]),
        ):
            return f"{target.hostnames[0]} answers at {target.ip6}"
    except OSError as error:
        if error.errno in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EHOSTUNREACH):
            return f"not looked at: this computer has no way to {target.ip6}"
        raise HubFailure(f"{target.ip6} does not serve {target.hostnames[0]}: {cause_of(error)}") from error


def _addresses6(hostname: str) -> set[str]:
    try:
        found = socket.getaddrinfo(hostname, 443, socket.AF_INET6, socket.SOCK_STREAM)
    except socket.gaierror:
        return set()
    addresses = (ipaddress.ip_address(str(info[4][0])) for info in found)
    return {str(one) for one in addresses if not getattr(one, "ipv4_mapped", None)}


def days_left(hostname: str, ip: str, ca_bundle: Path | None) -> int | None:
    """Days until the certificate that ``ip`` shows for ``hostname`` expires, negative if it has expired.

    None if there is no answer or the certificate is not trusted; ``check`` gives details.
    """
    context = ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle else None)
    try:
        with (
            socket.create_connection((ip, 443), 3) as raw,
            context.wrap_socket(raw, server_hostname=hostname) as tls,
        ):
            ends = ssl.cert_time_to_seconds(str((tls.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        return -1 if "expired" in error.verify_message else None
    except (OSError, ValueError, KeyError):
        return None
    return int((ends - time.time()) // 86400)


def _certificate(target: Target) -> str:
    days: list[int] = []
    for hostname in target.all_names:
        context = ssl.create_default_context(cafile=str(target.ca_bundle) if target.ca_bundle else None)
        try:
            with (
                socket.create_connection((target.ip, 443), PAGE_SECONDS) as raw,
                context.wrap_socket(raw, server_hostname=hostname) as tls,
            ):
                ends = ssl.cert_time_to_seconds(str((tls.getpeercert() or {})["notAfter"]))
        except ssl.SSLCertVerificationError as error:
            delegated = (
                f" look whether DNS has the NS record _acme-challenge.{target.hostnames[0]} with the value "
                f"{target.hostnames[0]};"
                if target.below
                else ""
            )
            raise HubFailure(
                f"browsers will warn at {hostname}: {error.verify_message};{delegated} the server asks for a "
                "certificate again by itself every hour, or run apply"
            ) from error
        days.append(int((ends - time.time()) // (24 * 60 * 60)))
    if min(days) < CERTIFICATE_DAYS:
        raise HubFailure(f"only {min(days)} days left; renewal has failed: run apply")
    return f"trusted for every name, {min(days)} days left"


def _redirect(target: Target) -> str:
    session = requests.Session()
    session.trust_env = False
    answer = session.get(f"http://{target.hostnames[0]}/", allow_redirects=False, timeout=PAGE_SECONDS)
    where = answer.headers.get("Location", "")
    if answer.status_code not in (301, 308) or not where.startswith(f"https://{target.hostnames[0]}/"):
        raise HubFailure(f"plain HTTP is not sent on to HTTPS (HTTP {answer.status_code})")
    return "plain HTTP is sent on to HTTPS"


def _closed(target: Target) -> str:
    for port in INSIDE:
        try:
            socket.create_connection((target.ip, port), 1).close()
        except OSError:
            continue
        raise HubFailure(f"port {port} answers from outside: the firewall is open; run apply")
    return "nothing but the web and SSH answers from outside"


def _login_page(target: Target) -> str:
    with HubClient(target.hostnames[0], target.username, target.ca_bundle) as client:
        page = client.get("/hub/login")
        known = ("login_form", "username", "service-login")
        if page.status_code != 200 or not any(mark in page.text for mark in known):
            raise HubFailure(f"no login page (HTTP {page.status_code})")
        return f"answers in {page.elapsed.total_seconds():.2f} s"


def _provider(target: Target) -> str:
    with HubClient(target.hostnames[0], target.username, target.ca_bundle) as client:
        page = client.get("/hub/oauth_login", allow_redirects=False)
    if page.status_code == 503:
        raise HubFailure("the sign-in service does not answer the hub, so nobody new gets in; look whether it is up")
    where = urlsplit(page.headers.get("Location", ""))
    if page.status_code != 302 or parse_qs(where.query).get("redirect_uri") != [target.redirect_uri]:
        raise HubFailure(f"the hub does not send people to the sign-in service (HTTP {page.status_code}); run apply")
    return f"people are sent to {where.hostname}"


def _as_student(target: Target, progress: Callable[[str], None]) -> Iterator[Check]:
    """Sign in, start a server and compute; each step needs the one before."""
    with HubClient(target.hostnames[0], target.username, target.ca_bundle) as client:

        def sign_in(_: Target) -> str:
            client.sign_in(target.password)
            return f"as {target.username}"

        def server(_: Target) -> str:
            client.start_server()
            return "started, JupyterLab answers"

        def kernel(_: Target) -> str:
            with client.kernel() as started:
                answer = started.run("print(5 * 4)")
            if answer != "20":
                raise HubFailure(f"a kernel computed 5 * 4 = {answer!r}")
            return "5 * 4 = 20, over the websocket"

        try:
            for name, function in (("sign-in", sign_in), ("server", server), ("kernel", kernel)):
                progress(name)
                check = _run(name, function, target)
                yield check
                if not check.ok:
                    return
        finally:
            # The check must not leave a server running, whatever the result.
            with contextlib.suppress(HubFailure, requests.RequestException):
                client.stop_server()
