"""A certificate authority for one test: real certificates, in any state that a server's can be in."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme


class Authority:
    """Signs with a key of its own; ``bundle`` is its root, for whoever shall trust it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bundle = directory / "root.pem"
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.bundle))

    def server_context(self, *names: str, days: float = 90, self_signed: bool = False) -> ssl.SSLContext:
        """TLS for a server of these names, with ``days`` left to run (fewer than 0: expired)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self_signed:
            # A root's own certificate is one.
            other = trustme.CA()
            with other.cert_pem.tempfile() as certificate, other.private_key_pem.tempfile() as key:
                context.load_cert_chain(certificate, key)
            return context
        self._issue(*names, days=days).configure_cert(context)
        return context

    def server_file(self, *names: str) -> Path:
        """A file with key and certificate for a server that reads its own."""
        path = self.directory / f"{names[0]}.pem"
        self._issue(*names).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    def _issue(self, *names: str, days: float = 90) -> trustme.LeafCert:
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        begin = end - datetime.timedelta(days=4000)
        return self._ca.issue_cert(*names, common_name=names[0], not_before=begin, not_after=end)
