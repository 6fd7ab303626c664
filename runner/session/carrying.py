"""Keeps a server's certificate for the course's next server.

Let's Encrypt issues at most five certificates for the same names in seven days. So the certificate is fetched after
each apply and before the server is deleted, and sent to the next server before its first highstate. The server's part
is in formulas/letsencrypt (carrying.py). The certificate is stored in ``.coursehub/certificates``, encrypted for this
computer's key only.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from runner.agreed import CARRIED_DAYS, PATHS
from runner.cloud import Server
from runner.errors import CoursehubError
from runner.files import write_private
from runner.secrets.vault import Vault
from runner.session.session import Session

_GIVE = """
if [ -x /usr/local/sbin/coursehub-cert ]; then /usr/local/sbin/coursehub-cert give --known '{known}'; fi
"""
_CARRIED = PurePosixPath(PATHS["carried_certificate"])
_SEND = f"""
set -eu
if [ -e /etc/letsencrypt/live ]; then exit 0; fi
mkdir -p -m 0755 {_CARRIED.parent.parent}
mkdir -p {_CARRIED.parent}
umask 077
cat > {_CARRIED} <<'CARRIED'
{{document}}
CARRIED
"""


def fetch(session: Session, server: Server, *, seconds: int = 60) -> None:
    """Fetch the server's certificate, unless it is the one that is kept already. Raises CoursehubError."""
    known = _fingerprint(session)
    said = session.access.run(str(server.ip), _GIVE.format(known=known), seconds=seconds).strip()
    if not said:
        return
    found = json.loads(said)
    message = Vault(session.project).seal(said)
    write_private(_path(session), message)
    write_private(_note(session), json.dumps({"fingerprint": found["fingerprint"]}))


def fetch_if_possible(session: Session, server: Server, report: Callable[[str], None], *, seconds: int = 60) -> None:
    """The same, but a failure is only reported: the verb has done its work, or can continue without it."""
    try:
        fetch(session, server, seconds=seconds)
    except (CoursehubError, ValueError, KeyError) as error:
        report(f"  note: {session.course_id}: the certificate was not kept for the next server: {error}")


def fetch_the_last(session: Session, server: Server, progress: Callable[[str], None]) -> None:
    """The same before the server is deleted. A server that does not answer or was never contacted is skipped."""
    met = session.access.known_hosts.exists() and not session.access.has_first_host_key()
    if met and server.state == "active" and server.ip:
        progress("keeping the certificate for the next server")
        fetch_if_possible(session, server, lambda _line: None, seconds=20)


def send(session: Session, server: Server, report: Callable[[str], None]) -> None:
    """Send the last server's certificate to a new server. A server that has one keeps its own."""
    if not _path(session).exists():
        return
    try:
        document = Vault(session.project).decrypt(
            _path(session).read_text("ascii"), session.project.shown(_path(session))
        )
        fits = _fits(session, json.loads(document)["pems"]["fullchain"])
    except (CoursehubError, ValueError, KeyError) as error:
        report(f"the last server's certificate cannot be read, so a new one is ordered: {error}")
        return
    if not fits:
        forget(session)
        return
    report("sending the last server's certificate")
    session.access.run(str(server.ip), _SEND.format(document=document))


def forget(session: Session) -> None:
    """Delete the kept certificate."""
    _path(session).unlink(missing_ok=True)
    _note(session).unlink(missing_ok=True)


def _fits(session: Session, chain: str) -> bool:
    """Whether it is valid for long enough and from an authority that still exists. The server checks the rest."""
    # Imported here because it takes a fifth of a second, and few commands need it.
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    certificates = x509.load_pem_x509_certificates(chain.encode())
    left = certificates[0].not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if left <= datetime.timedelta(days=CARRIED_DAYS):
        return False
    authority = session.cloud.authority
    if authority is None:
        return True
    roots = x509.load_pem_x509_certificates(authority.bundle.read_bytes())
    for root in roots:
        # A key of another type raises TypeError or ValueError.
        with contextlib.suppress(InvalidSignature, TypeError, ValueError):
            certificates[-1].verify_directly_issued_by(root)
            return True
    return False


def _fingerprint(session: Session) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        if _path(session).exists():
            known = str(json.loads(_note(session).read_text("utf-8"))["fingerprint"])
            return known if known.isalnum() else ""
    return ""


def _path(session: Session) -> Path:
    return session.project.state / "certificates" / f"{session.course_id}.asc"


def _note(session: Session) -> Path:
    return _path(session).with_suffix(".json")
