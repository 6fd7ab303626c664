"""A certificate authority for one test: real certificates in any state."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme


class Authority:
    """Signs with its own key; ``bundle`` is its root, for everything that should trust it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bundle = directory / "root.pem"
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.bundle))

    def server_context(self, *names: str, days: float = 90, self_signed: bool = False) -> ssl.SSLContext:
        """TLS for a server with these names; ``days`` until it expires (negative: expired)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self_signed:
            # The root's own certificate.
            other = trustme.CA()
            with other.cert_pem.tempfile() as certificate, other.private_key_pem.tempfile() as key:
                context.load_cert_chain(certificate, key)
            return context
        self._issue(*names, days=days).configure_cert(context)
        return context

    def server_file(self, *names: str) -> Path:
        """A file with key and certificate for a server that reads them from a file."""
        path = self.directory / f"{names[0]}.pem"
        self._issue(*names).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    def _issue(self, *names: str, days: float = 90) -> trustme.LeafCert:
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        begin = end - datetime.timedelta(days=4000)
        return self._ca.issue_cert(*names, common_name=names[0], not_before=begin, not_after=end)
