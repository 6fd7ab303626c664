"""A stranger sends what no browser sends: two requests in one, false names, addresses that lead elsewhere."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin, urlsplit

import pytest

from runner.hub.client import HubFailure
from tests.support.attackers import Outside, Person, statuses
from tests.support.hub import Hub

#: The hidden request, which must not be answered as a request of its own.
SMUGGLED = b"GET /hub/api/info HTTP/1.1\r\nHost: smuggled.example\r\nX-Smuggled: yes\r\n\r\n"


def smuggling(name: str) -> tuple[bytes, bytes]:
    """Headers and body of a request whose end two servers may place differently."""
    chunked = b"0\r\n\r\n" + SMUGGLED
    length = f"Content-Length: {len(chunked)}\r\n".encode()
    return {
        "both lengths": (length + b"Transfer-Encoding: chunked\r\n", chunked),
        "a coding with a space": (length + b"Transfer-Encoding : chunked\r\n", chunked),
        "a coding with a tab": (length + b"Transfer-Encoding:\tchunked\r\n", chunked),
        "an unknown coding": (length + b"Transfer-Encoding: xchunked\r\n", chunked),
        "two codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunked),
        "a folded coding": (length + b"Transfer-Encoding:\r\n chunked\r\n", chunked),
        "a coding after a bare line feed": (b"X: y\nTransfer-Encoding: chunked\r\n" + length, chunked),
        "two lengths": (b"Content-Length: 0\r\n" + length, chunked),
        "a negative length": (b"Content-Length: -1\r\n", SMUGGLED),
        "a length with a sign": (b"Content-Length: +0\r\n", SMUGGLED),
        "a header with a NUL": (b"X: a\x00b\r\n", b""),
        "an upgrade to HTTP/2": (
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        *("both lengths", "a coding with a space", "a coding with a tab", "an unknown coding", "two codings"),
        *("a folded coding", "a coding after a bare line feed", "two lengths", "a negative length"),
        *("a length with a sign", "a header with a NUL", "an upgrade to HTTP/2"),
    ],
)
def test_one_request_hides_in_another(outside: Outside, name: str) -> None:
    """Tries: to hide a second request in the body of the first, so that proxy and hub answer it as another person's.

    Stopped by: nginx refuses ambiguous requests, or ends each where those behind it do.
    """
    headers, body = smuggling(name)
    first = b"POST /hub/login HTTP/1.1\r\nHost: " + outside.name.encode() + b"\r\n" + headers + b"\r\n"
    got = statuses(outside.send(first + body, seconds=3))
    # One answer, or a second one that refuses the hidden part.
    assert 101 not in got, got
    assert len(got) <= 1 or set(got[1:]) <= {400, 405, 444}, got
    assert not got or got[0] in (200, 302, 400, 403, 405, 411, 501, 503), got


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost", "127.0.0.1", "", "{name}.evil.example", "{name}:8000@evil"]
)
def test_a_false_host(outside: Outside, host: str) -> None:
    """Tries: to let the hub answer under another name, which would then be in its links, redirects and cookies.

    Stopped by: nginx answers only for the course's names.
    """
    named = host.format(name=outside.name).encode()
    answer = outside.send(b"GET /hub/login HTTP/1.1\r\nHost: " + named + b"\r\nConnection: close\r\n\r\n", seconds=3)
    assert b"evil" not in answer, answer[:1000]
    # nginx takes what is before a colon as the name, and passes nothing else on.
    answered = (200,) if named.startswith(outside.name.encode() + b":") else ()
    assert not statuses(answer) or statuses(answer)[0] in (301, 400, 404, 421, *answered), answer[:300]
    assert b"login_form" not in answer


def test_false_names_in_other_headers(outside: Outside) -> None:
    """Tries: to put another name into the hub's links and redirects: with X-Forwarded-Host, Forwarded, a full address.

    Stopped by: nginx sets what is passed on, and the hub makes links without a name.
    """
    name = outside.name.encode()
    for line, headers in (
        (b"GET /hub/ HTTP/1.1", b"X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n"),
        (b"GET /hub/home HTTP/1.1", b"X-Original-URL: /hub/admin\r\nX-Rewrite-URL: //evil.example\r\n"),
        (b"GET https://evil.example/hub/ HTTP/1.1", b""),
        (b"GET http://evil.example/ HTTP/1.1", b""),
    ):
        answer = outside.send(line + b"\r\nHost: " + name + b"\r\nConnection: close\r\n" + headers + b"\r\n", seconds=5)
        assert b"evil.example" not in answer, (line, answer[:500])


def test_an_address_in_front_of_the_plain_one(outside: Outside) -> None:
    """Tries: to let port 80 redirect people to another name than the hub's.

    Stopped by: it redirects only to names that nginx knows.
    """
    for host in (b"evil.example", b"", b"127.0.0.1"):
        answer = outside.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n", port=80, seconds=3)
        assert statuses(answer) in ([], [400]), answer
    answer = outside.send(
        b"GET //evil.example/..;/ HTTP/1.1\r\nHost: " + outside.name.encode() + b"\r\nConnection: close\r\n\r\n",
        port=80,
    )
    where = answer.partition(b"Location: ")[2].partition(b"\r\n")[0]
    assert where.startswith(b"https://" + outside.name.encode() + b"/"), answer


AWAY = (
    "//evil.example/", "https://evil.example/", "/\\evil.example/", "\\\\evil.example/", "/%09/evil.example/",
    "///evil.example/", "https:evil.example", "/hub/../..//evil.example/", "javascript:alert(1)", "%2f%2fevil.example",
    "/user/x/../..//evil.example", "http://evil.example:443@{name}/", "//{name}@evil.example/", "/\t/evil.example",
)  # fmt: skip


@pytest.mark.parametrize("target", AWAY)
def test_the_sign_in_sends_people_away(hub: Hub, bob: Person, target: str) -> None:
    """Tries: to make a link to the hub's own sign-in page that ends, after a real sign-in, on another site.

    Stopped by: JupyterHub continues only at its own addresses.
    """
    name = hub.document["hostname"]
    # A signed-in person is redirected to their own server, which may have a name of its own.
    ours = (("https", name), ("https", urlsplit(bob.client.origin(f"/user/{bob.account}/")).netloc))
    client = bob.client
    # A signed-in person is redirected at once.
    for path in ("/hub/login", "/hub/home", "/hub/"):
        answer = client.get(path, params={"next": target.format(name=name)}, allow_redirects=False)
        where = answer.headers.get("Location", "")
        # The address as a browser reads it, which is more tolerant than Python.
        meant = re.sub(r"[\t\r\n]", "", where).replace("\\", "/")
        assert urlsplit(urljoin(f"https://{name}{path}", meant))[:2] in ours, (path, where)


@pytest.mark.parametrize(
    "path",
    [
        "/.coursehub/../../../etc/passwd",
        "/.coursehub/..%2f..%2f..%2fetc/passwd",
        "/hub/static/../../../../etc/passwd",
        "/hub/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/hub/static/..%5c..%5cetc/passwd",
        "/hub/static//etc/passwd",
        "/hub/static/%00/etc/passwd",
        "/hub/logo/../jupyterhub.sqlite",
        "/.well-known/acme-challenge/../../../etc/passwd",
        "/user/../../etc/passwd",
    ],
)
def test_files_of_the_server_by_address(outside: Outside, path: str) -> None:
    """Tries: to read a file of the server with a path that leaves the served directory.

    Stopped by: nginx serves listed files, and the hub's static handler stays in its directory.
    """
    for port in (443, 80):
        request = f"GET {path} HTTP/1.1\r\nHost: {outside.name}\r\nConnection: close\r\n\r\n"
        answer = outside.send(request.encode(), port=port, seconds=5)
        assert b"root:x:0" not in answer and b"SQLite format" not in answer
        assert statuses(answer)[0] in (301, 302, 400, 403, 404, 405, 503), answer[:200]


def test_methods_that_nobody_needs(outside: Outside) -> None:
    """Tries: TRACE (to see cookies), CONNECT (to use the server as a proxy) and WebDAV.

    Stopped by: nginx and the hub know none of them.
    """
    for method in (b"TRACE", b"CONNECT", b"PROPFIND", b"MKCOL", b"DEBUG", b"TRACK"):
        target = b"evil.example:443" if method == b"CONNECT" else b"/hub/login"
        answer = outside.send(
            method + b" " + target + b" HTTP/1.1\r\nHost: " + outside.name.encode()
            + b"\r\nCookie: secret=4711\r\nConnection: close\r\n\r\n",
            seconds=5,
        )  # fmt: skip
        assert not statuses(answer) or statuses(answer)[0] in (400, 403, 404, 405, 501), (method, answer[:100])
        assert b"4711" not in answer


def test_lines_of_a_log_are_forged(outside: Outside, hub: Hub) -> None:
    """Tries: to put a false line into the logs, with line breaks in an address, a name and a header.

    Stopped by: nginx logs only two words of an address, and escapes them; the hub's lines quote what was sent.
    """
    client = outside.browser()
    client.get("/hub/forged%0AFORGED-LINE%20200", headers={"User-Agent": "x FORGED-LINE"})
    client.username = "x\nFORGED-LINE Accepted password for root"
    with pytest.raises(HubFailure, match="refused"):
        client.sign_in("wrong")
    lines = hub.run(
        "cat /var/log/nginx/*.log; journalctl --since=-60s -o cat --no-pager -u jupyterhub -u nginx -u jupyterhub-proxy"
    ).splitlines()
    assert not [line for line in lines if line.lstrip().startswith("FORGED-LINE")]


def test_another_address_is_claimed(outside: Outside, hub: Hub) -> None:
    """Tries: to appear with another address in the logs, and for limits: X-Forwarded-For, X-Real-IP, PROXY.

    Stopped by: nginx sets these headers itself, and does not accept the PROXY protocol.
    """
    claimed = dict.fromkeys(("X-Forwarded-For", "X-Real-IP", "True-Client-IP", "Forwarded"), "192.0.2.77")
    client = outside.browser()
    client.username = "nobody-at-all"
    client.http.headers.update(claimed)
    with pytest.raises(HubFailure, match="refused"):
        client.sign_in("wrong")
    logs = hub.run("cat /var/log/nginx/access.log; journalctl --since=-60s -o cat --no-pager -u jupyterhub")
    assert "192.0.2.77" not in logs
    with outside.line(port=80) as line:
        line.sendall(b"PROXY TCP4 192.0.2.77 192.0.2.78 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in line.recv(4096)[:20]


def test_the_hubs_interface_without_an_account(outside: Outside, alice: Person) -> None:
    """Tries: to use the hub's API, metrics, services and people's servers without a session.

    Stopped by: each requires a sign-in; what is public shows only the version.
    """
    client, name = outside.browser(), alice.account
    for path in (
        "/hub/api/users", "/hub/api/groups", "/hub/api/services", "/hub/api/proxy", "/hub/api/info", "/hub/api/user",
        "/hub/metrics", f"/hub/api/shares/{name}/", f"/hub/api/users/{name}", f"/hub/api/users/{name}/tokens",
    ):  # fmt: skip
        answer = client.get(path, allow_redirects=False)
        assert answer.status_code in (302, 401, 403, 404), (path, answer.status_code)
    servers = (f"/user/{name}/api/contents", f"/user/{name}/lab")
    for path in (*servers, "/services/students-work/", "/hub/admin", "/hub/token"):
        answer = client.get(path, allow_redirects=False)
        assert answer.status_code in (302, 403, 404, 424), (path, answer.status_code)
    # A wrong token must open no more than none.
    assert client.get("/hub/api/users", headers={"Authorization": "token 0123456789abcdef"}).status_code == 403


def test_answers_that_another_site_may_read(mallory: Person) -> None:
    """Tries: to read the hub's answers to a victim's browser from a page of another site (CORS), or to frame its pages.

    Stopped by: no answer with content allows another origin, and pages refuse to be framed.
    """
    client = mallory.serve()
    for path in ("/hub/home", "/hub/api/user", f"/user/{mallory.account}/api/contents", "/hub/login"):
        answer = client.get(path, headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in answer.headers, path
    policy = client.get("/hub/home").headers.get("Content-Security-Policy", "")
    assert "frame-ancestors 'none'" in policy or "frame-ancestors 'self'" in policy


def test_a_sign_in_without_the_pages_own_token(outside: Outside) -> None:
    """Tries: to sign a victim's browser in as somebody else, with a form on another site.

    Stopped by: JupyterHub's XSRF token.
    """
    for headers in ({"Origin": "https://evil.example", "Referer": "https://evil.example/"}, {}):
        client = outside.browser()
        answer = client.http.post(
            f"{client.base}/hub/login", data={"username": "alice", "password": "x"}, headers=headers, timeout=20
        )
        assert answer.status_code == 403, answer.status_code


def test_accounts_of_the_system_sign_in(outside: Outside) -> None:
    """Tries: to sign in as root and other system accounts, without a password, and with odd spellings of a name.

    Stopped by: PAM, the hub's list of groups, and the rule that a name must be in the class list.
    """

    def answer(account: str) -> int:
        client = outside.browser()
        client.get("/hub/login")
        body = {"username": account, "password": "", "_xsrf": client._xsrf("/hub/")}
        return client.http.post(f"{client.base}/hub/login", data=body, allow_redirects=False, timeout=30).status_code

    accounts = ("root", "nobody", "www-data", "", "alice\x00", "../alice", "ALICE ", "alice/../root")
    # PAM is slow for each of them.
    with ThreadPoolExecutor(len(accounts)) as side_by_side:
        got = dict(zip(accounts, side_by_side.map(answer, accounts), strict=True))
    assert set(got.values()) <= {400, 403, 429}, got
