"""End all of a person's cookies, browser sessions and tokens, at sign-out and when the person leaves.

The machine keeps a mark for each account that was locked, unlocked or lost a role, and writes a new one each time
(``left_file``). The hub keeps the mark with which a person's sessions began, in their ``cookie_id``. If the two differ,
everything older ends before any of it is accepted, even if the hub was down, or the person was away for months.
"""

import json
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.login import LogoutHandler
from sqlalchemy.orm import object_session

#: Separates the mark from JupyterHub's own value of a cookie_id, which never contains it.
_SEPARATOR = "."


class Marks:
    """The marks of accounts. Their file is read again after a change."""

    def __init__(self, path: str) -> None:
        self.path = Path(path) if path else None
        self._seen: tuple[int, int] | None = None
        self._marks: dict[str, str] = {}

    def of(self, account: str) -> str:
        """Return an account's mark; empty for one that never left or lost anything."""
        self._read()
        return self._marks.get(account, "")

    def _read(self) -> None:
        if self.path is None:
            return
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._marks = None, {}
            return
        seen = (found.st_ino, found.st_mtime_ns)
        if seen != self._seen:
            marks = json.loads(self.path.read_text(encoding="utf-8"))
            self._marks = {str(account): str(mark) for account, mark in marks.items()}
            self._seen = seen

    def settle(self, user: Any) -> bool:
        """End sessions that began before the account's mark. Return whether there were any."""
        person = _in_database(user)
        mark, began = self.of(person.name), person.cookie_id.rpartition(_SEPARATOR)[0]
        if mark == began:
            return False
        end_sessions(user, mark)
        return True

    def sign_out(self, user: Any) -> None:
        """End a person's sessions in all browsers, and their tokens; a running server keeps its own token."""
        servers = {spawner.api_token for spawner in user.spawners.values() if spawner.active and spawner.api_token}
        end_sessions(user, self.of(user.name), kept=frozenset(servers))


def end_sessions(user: Any, mark: str, kept: frozenset[str] = frozenset()) -> None:
    """Make a person's cookies and tokens invalid, except the tokens in ``kept``.

    ``user`` is the hub's object or the database's. The next session belongs to ``mark``.
    """
    person = _in_database(user)
    db = object_session(person)
    found = [orm.APIToken.find(db, token) for token in kept]
    keep = {token.id for token in found if token is not None}
    person.cookie_id = f"{mark}{_SEPARATOR}{orm.new_token()}" if mark else orm.new_token()
    for token in db.query(orm.APIToken).filter_by(user_id=person.id):
        if token.id not in keep:
            db.delete(token)
    for code in db.query(orm.OAuthCode).filter_by(user_id=person.id):
        db.delete(code)
    db.commit()


def _in_database(user: Any) -> Any:
    return getattr(user, "orm_user", user)


class SignOut(LogoutHandler):
    """Sign-out. JupyterHub's own leaves copies of its cookie valid, and the sessions of other browsers."""

    async def handle_logout(self) -> None:
        """End all sessions of the person who signed out."""
        if self.current_user:
            self.authenticator.marks.sign_out(self.current_user)
