"""The pass: whose server a browser may open on a hub with one domain.

The hub gives it to who is signed in, nginx checks it (``secure_link``) before a request reaches a student's server, and
who has none sees nothing that the student's program serves: no script of theirs runs in somebody else's browser. It is
no proof of who somebody is; the server asks the hub about that as ever.
"""

import base64
import hashlib
import hmac
import re
from pathlib import Path

# Browsers take "__Host-" cookies for this very host and all of it, so that none of another host or path stands before
# it. Those that know "__Host-Http-" take it from no script either.
COOKIE = "__Host-Http-coursehub-owner"
# Seconds, as long as JupyterHub's own cookie.
VALID = 14 * 24 * 3600
SECRET = re.compile(r'"([0-9a-f]{64})"')
VALUE = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})")


class Passes:
    """Makes passes, with the secret that nginx reads too."""

    def __init__(self, secret_file: str) -> None:
        self.secret_file = secret_file

    def make(self, name: str, now: float) -> str:
        """Return a pass to the server of ``name``. Raises OSError or ValueError when there is no secret."""
        expires = int(now) + VALID
        return f"{expires}.{self._proof(name, expires)}"

    def fits(self, value: str, name: str, now: float) -> bool:
        """Whether a pass is one to the server of ``name``, and still valid."""
        parts = VALUE.fullmatch(value)
        if not parts or int(parts[1]) < now:
            return False
        return hmac.compare_digest(parts[2], self._proof(name, int(parts[1])))

    def _proof(self, name: str, expires: int) -> str:
        # What nginx computes: the secret comes last, so that a proof cannot be made longer.
        digest = hashlib.md5(f"{expires} {name} {self._secret()}".encode(), usedforsecurity=False).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _secret(self) -> str:
        found = SECRET.search(Path(self.secret_file).read_text(encoding="ascii"))
        if not found:
            raise ValueError(f"no secret in {self.secret_file}")
        return found[1]


def owner_of(address: str, base_url: str) -> str:
    """Return whose server an address leads to (path and query), empty when it leads to none."""
    found = re.match(rf"{re.escape(base_url)}user/([a-z_][a-z0-9_.-]*)(?:[/?]|$)", address)
    return found[1] if found else ""
