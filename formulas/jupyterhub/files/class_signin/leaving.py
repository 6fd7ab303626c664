"""Ends all that lets somebody in: cookies, browser sessions and tokens, at sign-out and when somebody leaves.

The machine keeps a mark for each account that was locked, unlocked or lost a role, and writes a new one each time
(``left_file``). The hub keeps the mark with which a person's sessions began in their ``cookie_id``. Where both differ,
everything older ends before anything of it is accepted: also when the hub was down, or the person was away for months.
"""

import json
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.login import LogoutHandler
from sqlalchemy.orm import object_session

#: Between the mark and what JupyterHub itself would take for a cookie_id, which has none.
_SEPARATOR = "."


class Marks:
    """The marks of accounts, read again when their file changed."""

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
        """End what began before the account's mark. Returns whether there was something to end."""
        person = _in_database(user)
        mark, began = self.of(person.name), person.cookie_id.rpartition(_SEPARATOR)[0]
        if mark == began:
            return False
        end_sessions(user, mark)
        return True

    def sign_out(self, user: Any) -> None:
        """End all sessions of somebody in all browsers, and their tokens; a server that runs keeps its own."""
        servers = {spawner.api_token for spawner in user.spawners.values() if spawner.active and spawner.api_token}
        end_sessions(user, self.of(user.name), kept=frozenset(servers))


def end_sessions(user: Any, mark: str, kept: frozenset[str] = frozenset()) -> None:
    """Make a person's cookies and tokens worthless, but for the tokens in ``kept``.

    ``user`` is the hub's own or its database's. The session that is then begun is of ``mark``.
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
    """JupyterHub's own sign-out leaves a copy of its cookie valid, and what other browsers have."""

    async def handle_logout(self) -> None:
        """End the sessions of whoever signed out."""
        if self.current_user:
            self.authenticator.marks.sign_out(self.current_user)
