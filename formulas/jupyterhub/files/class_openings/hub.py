"""Log each server that another person than its owner opens, starts or stops. No student's program can prevent this.

JupyterHub calls ``log_function`` for each answered request; every way to a server passes this one place.
"""

import pwd
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from class_inside.door import Peer
from jupyterhub import orm
from jupyterhub.apihandlers.auth import OAuthAuthorizeHandler
from jupyterhub.apihandlers.users import SelfAPIHandler, UserServerAPIHandler
from jupyterhub.handlers.pages import SpawnHandler
from jupyterhub.log import log_request
from jupyterhub.user import User
from tornado.log import app_log

from class_openings.log import record

# Seconds. A server asks the hub again and again whether its visitor may stay; together that is one visit.
SAME_VISIT = 3600
# Prefix of the OAuth client id of a person's server (jupyterhub/user.py).
CLIENT = "jupyterhub-user-"
FIRST_UID = 1000
# Characters of an address in the log.
LONGEST = 300


class HubLog:
    """JupyterHub's own log of requests, and our log of openings."""

    def __init__(self, note: Callable[[str, str, str], None] = record) -> None:
        self.note = note
        self._seen: dict[tuple[str, str], float] = {}

    def __call__(self, handler: Any) -> None:
        """Log an answered request. An error here cannot affect the answer, which was already sent."""
        try:
            found = opening(handler)
            if found and not self._goes_on(*found):
                self.note(*found)
        except Exception as problem:
            app_log.error("An opening of a person's server could not be logged: %s", problem)
        shorten(handler)
        log_request(handler)

    def _goes_on(self, who: str, whose: str, what: str) -> bool:
        """Return whether this only continues a visit that was already logged."""
        if what not in ("server opened", "server used"):
            return False
        now = time.monotonic()
        last, self._seen[who, whose] = self._seen.get((who, whose)), now
        return what == "server used" and last is not None and now - last < SAME_VISIT


def shorten(handler: Any) -> None:
    """Cut the addresses that are logged. With long ones a student would push everybody's lines out of the journal."""
    handler.request.uri = handler.request.uri[:LONGEST]
    if len(leads_to(handler)) > LONGEST:
        handler._headers["Location"] = leads_to(handler)[:LONGEST]


def opening(handler: Any) -> tuple[str, str, str] | None:
    """Return who opened whose server, and how, if a request did that."""
    person = signed_in(handler)
    if person is None or handler.get_status() >= 400:
        return None
    whose, what = None, ""
    if isinstance(handler, OAuthAuthorizeHandler):
        whose, what = owner_of_client(handler), "server opened"
    elif isinstance(handler, SelfAPIHandler):
        whose, what = owner_of_asking_server(handler, person), "server used"
    elif isinstance(handler, UserServerAPIHandler) and handler.request.method in ("POST", "DELETE"):
        whose = handler.path_args[0]
        what = "server started" if handler.request.method == "POST" else "server stopped"
    elif isinstance(handler, SpawnHandler) and handler.path_args and "/spawn-pending/" in leads_to(handler):
        whose, what = handler.path_args[0], "server started"
    return (person.name, whose, what) if whose and whose != person.name else None


def signed_in(handler: Any) -> User | None:
    """Return the person who sent the request; None for services, strangers, and requests that failed early."""
    try:
        return handler.current_user if isinstance(handler.current_user, User) else None
    except Exception:
        return None


def leads_to(handler: Any) -> str:
    """Return the address to which an answer redirects."""
    return str(handler._headers.get("Location", ""))


def owner_of_client(handler: Any) -> str | None:
    """Return the owner of the server that an authorization opens; None if it was refused, or is for a service."""
    if "code" not in parse_qs(urlsplit(leads_to(handler)).query):
        return None
    return owner_by_client(handler.db, handler.get_query_argument("client_id", ""))


def owner_by_client(db: Any, client_id: str) -> str | None:
    """Return the owner of the server with this OAuth client id."""
    client = db.query(orm.OAuthClient).filter_by(identifier=client_id).one_or_none()
    return client.spawner.user.name if client and client.spawner else None


def owner_of_asking_server(handler: Any, person: User) -> str | None:
    """Return the owner of the server that asks the hub who its visitor is.

    A browser's token was made for that one server. A token that a teacher made by hand opens everything that the
    teacher may open; then the kernel says whose process is at the other end.
    """
    token = handler.get_token()
    if token is None or token.client_id == f"{CLIENT}{quote(person.name)}":
        return None
    if token.client_id.startswith(CLIENT):
        return owner_by_client(handler.db, token.client_id)
    if not reaches_others(handler.expanded_scopes, person.name):
        return None
    account = account_at(handler.request.connection.context.address)
    # None for a request from outside: that comes from the proxy, through another socket.
    return account if account and orm.User.find(handler.db, account) else None


def reaches_others(scopes: set[str], name: str) -> bool:
    """Return whether scopes open servers of other people than ``name``."""
    filters = {scope.partition("!")[2] for scope in scopes if scope.partition("!")[0] == "access:servers"}
    return any(one != f"user={name}" and not one.startswith(f"server={name}/") for one in filters)


def account_at(address: Any) -> str | None:
    """Return the account whose process opened a connection to the hub's door; None for any other connection."""
    if not isinstance(address, Peer) or address.uid < FIRST_UID:
        return None
    try:
        return pwd.getpwuid(address.uid).pw_name
    except KeyError:
        return None
