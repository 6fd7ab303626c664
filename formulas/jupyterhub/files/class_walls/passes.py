"""The pass: it says whose server a browser may open on a hub with one domain.

The hub gives it to a person who is signed in, and nginx checks it (``secure_link``) before a request reaches a
student's server. A browser without the pass gets nothing that the student's program serves, so no script of a student
runs in another person's browser. The pass does not prove who a person is; the server still asks the hub about that.
"""

import base64
import hashlib
import hmac
import re
from pathlib import Path

# Browsers accept "__Host-" cookies only from this host and for all its paths, so none of another host or path comes
# before it. Browsers that support "__Host-Http-" also accept it from no script.
COOKIE = "__Host-Http-coursehub-owner"
# Seconds; the same as JupyterHub's own cookie.
VALID = 14 * 24 * 3600
SECRET = re.compile(r'"([0-9a-f]{64})"')
VALUE = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})")


class Passes:
    """Makes passes, with the secret that nginx also reads."""

    def __init__(self, secret_file: str) -> None:
        self.secret_file = secret_file

    def make(self, name: str, now: float) -> str:
        """Return a pass to the server of ``name``. Raises OSError or ValueError if there is no secret."""
        expires = int(now) + VALID
        return f"{expires}.{self._proof(name, expires)}"

    def fits(self, value: str, name: str, now: float) -> bool:
        """Return whether a pass is for the server of ``name`` and still valid."""
        parts = VALUE.fullmatch(value)
        if not parts or int(parts[1]) < now:
            return False
        return hmac.compare_digest(parts[2], self._proof(name, int(parts[1])))

    def _proof(self, name: str, expires: int) -> str:
        # The same computation as in nginx. The secret comes last, against length extension.
        digest = hashlib.md5(f"{expires} {name} {self._secret()}".encode(), usedforsecurity=False).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _secret(self) -> str:
        found = SECRET.search(Path(self.secret_file).read_text(encoding="ascii"))
        if not found:
            raise ValueError(f"no secret in {self.secret_file}")
        return found[1]


def owner_of(address: str, base_url: str) -> str:
    """Return the owner of the server to which an address (path and query) leads; empty if it leads to none."""
    found = re.match(rf"{re.escape(base_url)}user/([a-z_][a-z0-9_.-]*)(?:[/?]|$)", address)
    return found[1] if found else ""
