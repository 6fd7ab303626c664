"""nginx from outside: whom it answers, with what, and how much it accepts."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.kitchen.suites import outside

NAME = "kitchen.example.test"
CERTIFICATE = f"/etc/ssl/coursehub/{NAME}/fullchain.pem"
#: Accepts anything and prints the size and the headers that it got.
UPSTREAM = """
import http.server, os, socketserver
class Socket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    def get_request(self):
        return self.socket.accept()[0], ('', 0)
class Upstream(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        size = len(self.rfile.read(int(self.headers.get('Content-Length', 0))))
        body = f"{size} {self.headers.get('X-Forwarded-Proto')} {self.headers.get('Host')}".encode()
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
os.umask(0)
Socket('/run/kitchen-upstream.sock', Upstream).serve_forever()
"""


@pytest.fixture(scope="module")
def upstream(host: Host) -> Iterator[None]:
    host.check_output("systemd-run --quiet --collect --unit kitchen-upstream python3 -c %s", UPSTREAM)
    host.check_output("for i in $(seq 100); do test -S /run/kitchen-upstream.sock && exit; sleep 0.1; done; exit 1")
    yield
    host.run("systemctl stop kitchen-upstream; rm /run/kitchen-upstream.sock")


@pytest.fixture(scope="module")
def tls(host: Host) -> ssl.SSLContext:
    """Trusts only the temporary certificate that nginx uses until there is a real one."""
    return outside.trusting(host.check_output("cat %s", CERTIFICATE))


def test_plain_http_is_sent_on(address: str) -> None:
    answer = outside.ask(address, NAME, "/hub/login?next=%2F")
    assert (answer.status, answer.headers["location"]) == (301, f"https://{NAME}/hub/login?next=%2F")


def test_the_second_name_is_sent_to_the_first(address: str, tls: ssl.SSLContext) -> None:
    answer = outside.ask(address, f"www.{NAME}", "/hub/login", tls=tls)
    assert (answer.status, answer.headers["location"]) == (301, f"https://{NAME}/hub/login")


@pytest.mark.usefixtures("upstream")
def test_the_upload_limit_bites_and_lets_the_rest_through(address: str, tls: ssl.SSLContext) -> None:
    passed = outside.ask(address, NAME, "/user/ada/x", method="POST", body=b"x" * 1_900_000, tls=tls)
    assert (passed.status, passed.body) == (200, f"1900000 https {NAME}")
    # nginx judges the announced size before any byte was sent.
    assert outside.ask(address, NAME, "/user/ada/x", method="POST", announce=2_200_000, tls=tls).status == 413
    # Uploads go to people's servers; other pages accept little.
    assert outside.ask(address, NAME, "/hub/x", method="POST", announce=1_200_000, tls=tls).status == 413
    assert outside.ask(address, NAME, "/hub/login", method="POST", announce=70_000, tls=tls).status == 413


@pytest.mark.usefixtures("upstream")
def test_answers_carry_the_headers(address: str, tls: ssl.SSLContext) -> None:
    headers = outside.ask(address, NAME, tls=tls).headers
    assert headers["strict-transport-security"] == "max-age=63072000"
    assert headers["x-content-type-options"] == "nosniff"
    assert "nginx/" not in headers.get("server", "")


def test_a_strangers_name_gets_no_answer(address: str, tls: ssl.SSLContext) -> None:
    # nginx resets what it closes without an answer ("return 444" with reset_timedout_connection).
    with pytest.raises((http.client.BadStatusLine, ConnectionResetError)):
        outside.ask(address, "192.0.2.1")
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        outside.ask(address, "stranger.example.test", tls=tls)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(address: str, host: Host) -> None:
    old = outside.trusting(host.check_output("cat %s", CERTIFICATE))
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        outside.ask(address, NAME, tls=old)


def test_students_cannot_read_the_key(host: Host) -> None:
    key = f"/etc/ssl/coursehub/{NAME}/privkey.pem"
    assert host.run("cat %s", key).rc == 0
    assert host.run("runuser -u nobody -- cat %s", key).rc != 0


def test_a_page_says_to_wait_while_the_hub_is_down(address: str, tls: ssl.SSLContext, host: Host) -> None:
    host.run("systemctl stop kitchen-upstream; rm /run/kitchen-upstream.sock")
    answer = outside.ask(address, NAME, tls=tls)
    assert answer.status in (502, 503)
    assert answer.body.strip() == host.check_output("cat /var/www/coursehub/wait.html").strip()


def test_its_own_files_need_no_upstream(address: str, tls: ssl.SSLContext, host: Host) -> None:
    host.run("systemctl stop kitchen-upstream; rm /run/kitchen-upstream.sock")
    answer = outside.ask(address, NAME, "/.kitchen/page.html", tls=tls)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
    assert answer.body.strip() == host.check_output("cat /var/www/coursehub/wait.html").strip()
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["strict-transport-security"] == "max-age=63072000"
    assert outside.ask(address, NAME, "/.kitchen/", tls=tls).status != 200


def test_it_comes_back_with_the_machine(host: Host) -> None:
    assert host.service("nginx").is_enabled
    assert host.service("nginx").is_running
