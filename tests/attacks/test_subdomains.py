"""Each server has its own name (`isolation: subdomains`): attacks from such a name."""

from __future__ import annotations

import socket
import time

import pytest
from cryptography import x509
from dnslib import DNSRecord

from runner.course.hostnames import server_label
from tests.support.attackers import Outside, Person, statuses
from tests.support.hub import Hub
from tests.support.visiting import open_server, visits


@pytest.fixture(autouse=True)
def apart(hub: Hub, request: pytest.FixtureRequest) -> None:
    """The tests' own hub has such names, as by default; one of `--hub COURSE` may not."""
    if not visits(hub):
        assert request.config.getoption("--hub"), "the tests' own hub has no names for servers"
        pytest.skip("this hub has isolation: paths")


def name_of(person: Person) -> str:
    """The name of the person's server."""
    return f"{server_label(person.account)}.{person.hub.document['hostname']}"


@pytest.mark.parametrize(
    "path",
    [
        "/hub/login",
        "/hub/api/user",
        "/hub/token",
        "/user/../hub/login",
        "/user/..%2fhub/login",
        "/user/%2e%2e/hub/login",
        "/user/%2e%2e%2fhub%2flogin",
        "/user/x/../../hub/login",
        "//user/../hub/login",
        "/services/../hub/login",
        "/user/..%5chub/login",
        "/user/%252e%252e/hub/login",
        "/logout/../hub/login",
    ],
)
def test_the_hub_under_a_students_name(outside: Outside, mallory: Person, path: str) -> None:
    """Tries: to show a page of the hub under one's own name, where one's own pages could read what is typed into it.

    Stopped by: under such a name nginx passes on only servers and services, by the raw and the decoded path.
    """
    mallory.serve()
    request = f"GET {path} HTTP/1.1\r\nHost: {name_of(mallory)}\r\nConnection: close\r\n\r\n"
    answer = outside.send(request.encode())
    assert statuses(answer)[0] in (302, 400, 404), answer[:300]
    assert b"username_input" not in answer
    assert b"jupyterhub-session-id" not in answer, "a session of the hub under a student's name"
    if statuses(answer)[0] == 302:
        assert f"location: https://{outside.name}/".encode() in answer.lower().replace(b"\r", b"")


def test_anothers_server_under_ones_own_name(mallory: Person, alice: Person) -> None:
    """Tries: to let another student's server answer under one's own name, so that both have one origin.

    Stopped by: the proxy's routes begin with the name; others go to the hub, which redirects them.
    """
    mallory.serve()
    client = alice.serve()
    path = f"/user/{alice.account}/api/contents"
    assert client.get(path).status_code == 200
    answer = client.http.get(f"https://{name_of(mallory)}{path}", allow_redirects=False, timeout=20)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{client.base}/hub/user/{alice.account}/")


def test_cookies_of_a_visitor(mallory: Person, professor: Person) -> None:
    """Tries: to get the hub's cookies from a professor who visits one's server, which gets all that the browser sends.

    Stopped by: the cookies are only for the hub's own name.
    """
    mallory.serve()
    visitor = professor.client
    assert open_server(visitor, mallory.account).status_code == 200
    at_hub = dict(cookie.split("=", 1) for cookie in visitor._cookies(f"{visitor.base}/hub/home").split("; "))
    at_mallory = visitor._cookies(f"https://{name_of(mallory)}/user/{mallory.account}/lab")
    assert "__Host-jupyterhub-hub-login" in at_hub
    for name, value in at_hub.items():
        if name.startswith("__Host-"):
            assert value not in at_mallory, name
    assert f"__Host-jupyterhub-user-{mallory.account}=" in at_mallory, "the visit itself"


def test_a_planted_session_outlives_the_logout(professor: Person, mallory: Person) -> None:
    """Tries: to give a professor a session with a cookie for all names, so that a logout ends another session.

    Stopped by: the hub's session is a cookie that no other name can set.
    """
    mallory.serve()
    client = professor.new_client()
    client.http.cookies.set("jupyterhub-session-id", "0" * 32, domain=f".{client.hostname}", path="/hub/")
    assert open_server(client, mallory.account).status_code == 200
    path = f"/user/{mallory.account}/api/status"
    token = [cookie for cookie in client.http.cookies if cookie.name.startswith("__Host-jupyterhub-user-")]
    assert len(token) == 1
    assert client.get(path).status_code == 200
    client.sign_out()
    client.http.cookies.set_cookie(token[0])

    def shut() -> bool:
        return client.get(path, allow_redirects=False).status_code != 200

    deadline = time.monotonic() + 45
    while not shut() and time.monotonic() < deadline:
        time.sleep(1)
    assert shut(), "the visit goes on after the logout"


def test_names_of_people_from_the_certificate(outside: Outside) -> None:
    """Tries: to read the class's names in public certificate logs.

    Stopped by: one certificate for all names, without any person's name.
    """
    with outside.line() as line:
        certificate = x509.load_der_x509_certificate(line.getpeercert(binary_form=True) or b"")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {outside.name, f"*.{outside.name}"}


def test_names_of_people_from_the_web_servers_log(mallory: Person, hub: Hub) -> None:
    """Tries: to find out from nginx's logs who worked when, as somebody who gets to read them.

    Stopped by: no host name is logged, and no path that contains one.
    """
    log = "/var/log/nginx/access.log"
    # Before this, other attacks may have asked for paths with the name in them.
    seen = int(hub.run(f"stat -c %s {log}"))
    mallory.serve().get(f"/user/{mallory.account}/lab")
    new = hub.run(f"tail -c +{seen + 1} {log}")
    assert "/user/-" in new and mallory.account not in new, new


def test_names_of_another_depth_or_domain(outside: Outside) -> None:
    """Tries: to get an answer under names that nobody has: two labels deep, or of another domain.

    Stopped by: nginx knows one label below the hub's name; other names get nothing.
    """
    for name in (f"a.b.{outside.name}", f"{outside.name}.evil.example", f"x{outside.name}", f".{outside.name}"):
        answer = outside.send(f"GET /user/x/ HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode(), seconds=3)
        assert statuses(answer) in ([], [400], [421]), (name, answer[:200])


def test_questions_about_the_challenge(outside: Outside) -> None:
    """Tries: to connect to root's DNS server for challenges from anywhere at any time.

    Stopped by: the firewall, and nothing listens, except during the seconds of an order.
    """
    question = DNSRecord.question(f"_acme-challenge.{outside.name}", "TXT").pack()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(2)
        line.sendto(question, (outside.address, 53))
        with pytest.raises(TimeoutError):
            line.recvfrom(4096)
    with pytest.raises(TimeoutError):
        socket.create_connection((outside.address, 53), 2).close()


def test_a_challenge_is_answered_by_a_student(mallory: Person, hub: Hub) -> None:
    """Tries: to answer the certificate authority oneself, and so get a certificate for everybody's names.

    Stopped by: the port belongs to root, and the firewall is closed except during an order.
    """
    assert "PermissionError" in mallory.python("import socket; socket.create_server(('0.0.0.0', 53)); print('bound')")
    element = "inet coursehub open_for_a_while '{ udp . 53 timeout 1m }'"
    opened = mallory.shell(f"/usr/sbin/nft add element {element} 2>&1")
    assert opened.code != 0
    assert "not permitted" in opened.text
    assert "elements" not in hub.run("nft list set inet coursehub open_for_a_while")
