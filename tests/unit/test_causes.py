"""Tools' real error messages, and what a teacher reads instead."""

from __future__ import annotations

import pytest

from runner.saltssh.causes import cause
from runner.saltssh.results import Report, StateResult
from runner.verbs.converge import StatesFailed

pytestmark = pytest.mark.unit

INTERCEPTED = (
    "something between the server and the internet, such as a campus filter, replaces certificates, and the server "
    "does not trust it"
)
SAID = {
    "An error was encountered while installing package(s): E: Write error - write (28: No space left on device)\n"
    "E: IO Error saving source cache\nE: The package lists or status file could not be parsed or opened.": (
        "the server's disk is full"
    ),
    "installing demo.txt: error: Failed to download `cffi==2.1.1`; cause: failed to write to file `/var/api.py`:"
    " No space left on device (os error 28); /opt/course/env goes on serving c53b3a7cc8ce": "the server's disk is full",
    "errors:\n    - Running as unit: run-p1441.scope; invocation ID: 5f4c\n      E: Failed to fetch "
    "http://mirror/debian/"
    "pool/main/p/python-pip/python3-pip-whl_25.1.1%2bdfsg-1_all.deb  404  Not Found [IP: 10.1.1.1 80]\n"
    "      E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?": (
        "the Debian mirror does not have python3-pip-whl, although its own list names it (404)"
    ),
    "E: Failed to fetch http://mirror/debian/pool/main/n/nginx/nginx_1.26.3-3%2bdeb13u11_amd64.deb  Error reading from "
    "server. Remote end closed connection [IP: 10.1.1.1 80]\n": (
        "the Debian mirror does not deliver nginx (Error reading from server. Remote end closed connection)"
    ),
    "E: Failed to fetch http://mirror/debian/pool/nginx_1_amd64.deb  Temporary failure resolving 'mirror'": (
        "the server finds no addresses, its name server (DNS) does not answer"
    ),
    "E: Unable to locate package nginx\n": (
        "the server's list of Debian's packages lacks nginx: the mirror or its name server does not answer"
    ),
    "fatal: unable to access 'https://githb.com/x/y/': Could not resolve host: githb.com": (
        "the server finds no address for githb.com: the name is mistyped, or its name server (DNS) does not answer"
    ),
    "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError': /simple/uv/\nERROR: No "
    "matching distribution found for uv==0.13.9": ("the index that Python's packages come from does not answer"),
    "ERROR: Download failed after 1 attempts because not enough bytes were received (3 MB/21 MB)\nhint: Consider using "
    "--resume-retries to enable download resumption.": ("the index that Python's packages come from does not answer"),
    "urllib3.exceptions.ProtocolError: ('Connection broken: IncompleteRead(3 bytes read, 9 more expected)'": (
        "the index that Python's packages come from does not answer"
    ),
    "State 'timezone.system' was not found in SLS 'school'\nReason: 'timezone.system' is not available.\n": (
        "there is no such state, or salt/config/master switches the module timezone off"
    ),
    "installing demo.txt: error: Request failed after 3 retries; error trying to connect: Connection refused": (
        "the index that Python's packages come from does not answer"
    ),
    "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ": (
        "an installation of Debian packages was cut off on the server"
    ),
    "E: Release file for http://mirror/debian/dists/trixie/InRelease is not valid yet (invalid for another 1490d "
    "23h 9min "
    "9s). Updates for this repository will not be applied.": (
        "the server's clock is wrong: to the server, what it downloads comes from the future"
    ),
    "error: Failed to fetch: https://index/simple/x/\n  cause: error sending request\n  cause: invalid peer "
    "certificate: "
    "certificate not valid yet: verification time 1796003440 (UNIX), but certificate is not valid before 1893456000": (
        "the server's clock is wrong: to the server, what it downloads comes from the future"
    ),
    "E: Release file for http://mirror/debian/dists/trixie/InRelease is expired (invalid since 1796d 0h 50min 42s).": (
        "the Debian mirror's list has expired, or the server's clock is wrong"
    ),
    "error: Failed to fetch: `https://index/simple/x/`\n  cause: error sending request for url\n  cause: client error "
    "(Connect)\n  cause: invalid peer certificate: UnknownIssuer": INTERCEPTED,
    "fatal: unable to access 'https://host/x/': server verification failed: certificate signer not trusted. (CAfile: "
    "/etc/ssl/certs/ca-certificates.crt CRLfile: none)": INTERCEPTED,
    "curl: (60) SSL certificate problem: unable to get local issuer certificate": INTERCEPTED,
    "W: Failed to fetch https://mirror/debian/dists/trixie/InRelease  SSL connection failed: error:0A000086:SSL "
    "routines::certificate verify failed / Success [IP: 127.0.0.1 7003]": INTERCEPTED,
    "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local": INTERCEPTED,
    "E: Failed to fetch http://mirror/debian/dists/trixie/main/binary-amd64/Packages  403  Forbidden [IP: "
    "127.0.0.1 7001]\n": ("the Debian mirror, or a filter on the way, refuses to give Packages (403)"),
    "E: Failed to fetch http://mirror/debian/dists/trixei/main/binary-amd64/Packages  404  Not Found [IP: "
    "127.0.0.1 7002]": (
        "the Debian mirror has no trixei/main/binary-amd64/Packages (404): the release is mistyped, or this "
        "mirror does "
        "not carry it"
    ),
    "error: No solution found when resolving dependencies\n  cause: Because cffi was not found in the package "
    "registry and "
    "you require cffi==2.1.1, your requirements are unsatisfiable.\n\nhint: An index (https://index/simple) "
    "returned a 403 "
    "Forbidden error. Check that the index URL is correct and the credentials are valid.": (
        "the index that packages come from, or a filter on the way, refuses the server (403)"
    ),
    "error: No solution found when resolving dependencies\n  cause: Because cffi was not found in the package "
    "registry and "
    "you require cffi==2.1.1, we can conclude that your requirements are unsatisfiable.": (
        "the index that packages come from lacks cffi"
    ),
    "error: Request failed after 3 retries in 5.4s\n  cause: Failed to fetch: https://index/simple/x/\n  cause: "
    "dns error\n"
    "  cause: failed to lookup address information: Temporary failure in name resolution": (
        "the server finds no addresses, its name server (DNS) does not answer"
    ),
    "ssh: Could not resolve hostname git.example.edu: Temporary failure in name resolution": (
        "the server finds no address for git.example.edu: the name is mistyped, or its name server (DNS) does not "
        "answer"
    ),
    "Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 6046 (python3)...\n"
    "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?": (
        "another program installs packages on the server and does not end (python3, process 6046)"
    ),
}
#: What waiting fixes: somebody else's server or line is down for now.
PASSES = ("name server", "does not answer", "does not deliver", "its own list names it")


@pytest.mark.parametrize("said", SAID)
def test_nobody_waits_for_what_stays(said: str) -> None:
    """A refusal, a wrong clock, a full disk and a cut-off installation are as they are in ten minutes too."""
    found = cause(said)
    assert found is not None
    assert ("wait some minutes" in found.remedy) == any(words in found.what for words in PASSES)


@pytest.mark.parametrize(("said", "means"), SAID.items())
def test_what_a_tool_said_has_a_cause(said: str, means: str) -> None:
    found = cause(said)
    assert found is not None
    assert found.what == means


@pytest.mark.parametrize("said", ["", "nginx: [emerg] unknown directive", "Job for jupyterhub.service failed"])
def test_unknown_error_is_reported_unchanged(said: str) -> None:
    assert cause(said) is None


def failed(comment: str) -> StateResult:
    return StateResult("pkg.installed", "uv-packages", "uv", comment, False, {}, (), 1.0, 1)


def test_a_teacher_reads_the_cause_before_the_state() -> None:
    report = Report("demo", (failed("E: The repository 'http://mirror x' does not have a Release file"), failed("")))
    assert str(StatesFailed("demo", report)) == (
        "demo: the server has no list of Debian's packages, the mirror or its name server does not answer (at "
        "uv-packages and 1 more); what already works keeps working; wait some minutes, then run 'coursehub apply demo'"
    )
    assert str(StatesFailed("demo", Report("demo", (failed("odd"),)))) == (
        "demo: state uv-packages (uv) failed: odd; what already works keeps working; correct it, then run "
        "'coursehub apply demo'"
    )


def test_state_with_a_known_cause_is_reported_for_the_others() -> None:
    states = ("Parallel cache failure", "Unable to manage file: [Errno 28] No space left on device")
    told = str(StatesFailed("demo", Report("demo", tuple(failed(comment) for comment in states))))
    assert told.startswith("demo: the server's disk is full (at uv-packages and 1 more); ")
