"""``status`` reports a certificate that will expire, because no mail does any more."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runner import course as courses
from runner.errors import CoursehubError
from runner.hub import checks
from runner.project import Project
from runner.verbs import look

pytestmark = pytest.mark.unit


def certificate(directory: Path, days: int) -> ssl.SSLContext:
    """A server's context with its own certificate that expires in ``days``; the file ``ca`` trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "phys.example.edu")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("phys.example.edu")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=70))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (directory / "pem").write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    (directory / "ca").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "pem")
    return context


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    def once() -> None:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)

    threading.Thread(target=once, daemon=True).start()


@pytest.fixture
def at_443(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.create_connection

    def instead(address: tuple[str, int], timeout: float) -> socket.socket:
        assert address == ("192.0.2.7", 443)
        return connect(listener.getsockname(), timeout)

    monkeypatch.setattr(socket, "create_connection", instead)


@pytest.mark.parametrize(("days", "says"), [(12, 12), (-3, -1), (60, 60)])
@pytest.mark.usefixtures("at_443")
def test_days_left_are_read_from_what_the_server_shows(
    listener: socket.socket, tmp_path: Path, days: int, says: int
) -> None:
    serve(listener, certificate(tmp_path, days))
    assert checks.days_left("phys.example.edu", "192.0.2.7", tmp_path / "ca") == says


@pytest.mark.usefixtures("at_443")
def test_a_certificate_that_nobody_trusts_has_no_days(listener: socket.socket, tmp_path: Path) -> None:
    serve(listener, certificate(tmp_path, 60))
    assert checks.days_left("phys.example.edu", "192.0.2.7", None) is None


def test_a_server_that_does_not_answer_has_no_days(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refused)
    assert checks.days_left("phys.example.edu", "192.0.2.7", None) is None


@pytest.mark.parametrize(("days", "fails"), [(19, True), (20, False), (None, False)])
def test_status_fails_under_twenty_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int | None, fails: bool
) -> None:
    people = 'people: {professors: [{account: curie, name: "M"}]}'
    project = Project(tmp_path)
    project.courses.mkdir(parents=True)
    project.course_file("phys").write_text(
        f'course:\n  title: "P"\n  domain: phys.example.edu\n  contact: p@example.edu\n  {people}\n'
    )
    assert courses.load(project, "phys")
    monkeypatch.setattr(look, "_found", lambda *_: ("active", "192.0.2.7", "s-4vcpu-8gb", None))
    monkeypatch.setattr(checks, "days_left", lambda *_: days)
    if not fails:
        assert look.status(project, ["phys"])["courses"][0]["certificate_days"] == days
        return
    with pytest.raises(CoursehubError, match=r"phys: the certificate of phys.example.edu ends in 19 days") as caught:
        look.status(project, ["phys"])
    assert caught.value.exit_code == 1
