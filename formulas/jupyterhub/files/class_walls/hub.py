"""Add the walls to JupyterHub. Its configuration has no place for them, so methods of its handlers are wrapped."""

import functools
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from jupyterhub import orm
from jupyterhub.apihandlers.auth import OAuthAuthorizeHandler
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.base import (
    AddSlashHandler,
    BaseHandler,
    CSPReportHandler,
    PrefixRedirectHandler,
    UserUrlHandler,
)
from jupyterhub.handlers.login import LogoutHandler
from jupyterhub.handlers.metrics import MetricsHandler
from jupyterhub.handlers.pages import AdminHandler, HealthCheckHandler, SpawnHandler, TokenPageHandler
from tornado.web import HTTPError, authenticated

from class_walls.cookies import sound, values
from class_walls.fetch_metadata import Asked, Kind, refusal
from class_walls.framed import in_a_frame, show
from class_walls.leading import leads_to_others
from class_walls.passes import COOKIE, VALID, Passes, owner_of
from class_walls.policy import API_POLICY, Nonces, headers, page_policy

# They reveal nothing, and Lab asks some of them about the state of its server.
OPEN = (AddSlashHandler, CSPReportHandler, HealthCheckHandler, MetricsHandler, PrefixRedirectHandler, UserUrlHandler)
LAUNCHES = "class_signin.lti13"
# What people may do with their own things: JupyterHub's "self" without tokens and shares. So nobody can make a token
# with which a script could act for them later, and nobody can give others access to their server.
SELF = ("read:users", "users:activity", "servers", "access:servers")
DAY = 24 * 3600


def build(config: Any, *, visits: bool, secret_file: str) -> None:
    """Configure the walls. ``visits``: each server has its own domain, so teachers may open students' servers."""
    passes = Passes(secret_file)
    hub = config.JupyterHub
    hub.jinja_environment_options = {"extensions": [Nonces]}
    # JupyterHub's pages contain their XSRF token, so no script needs to read its cookie.
    hub.tornado_settings.update(
        cookie_options={"secure": True, "samesite": "Lax"},
        xsrf_cookie_kwargs={"secure": True, "samesite": "Lax", "httponly": True},
    )
    wall_requests()
    wall_answers()
    wall_actions()
    wall_options()
    if not visits:
        give_passes(passes)
        hub.extra_handlers = [(r"/enter(/.*)", EnterHandler, {"passes": passes})]


def walled_roles(roles: Iterable[dict[str, Any]], *, visits: bool) -> list[dict[str, Any]]:
    """Return the roles plus one for everybody's own server. Without ``visits`` no role opens other people's servers."""
    walled = [{"name": "user", "description": "Your own server", "scopes": [f"{scope}!user" for scope in SELF]}]
    for role in roles:
        scopes = [scope for scope in role["scopes"] if visits or not scope.startswith("access:servers")]
        walled.append({**role, "scopes": scopes})
    return walled


def kind_of(handler: Any) -> Kind | None:
    """Return the kind of a handler; None for one that answers every request."""
    if isinstance(handler, OPEN):
        return None
    if type(handler).__module__ == LAUNCHES:
        return Kind.LAUNCH
    return Kind.API if isinstance(handler, APIHandler) else Kind.PAGE


def asked_of(handler: Any, kind: Kind) -> Asked:
    """Return the facts about a request."""
    request = handler.request
    return Asked(
        kind=kind,
        method=request.method,
        site=request.headers.get("Sec-Fetch-Site", ""),
        mode=request.headers.get("Sec-Fetch-Mode", ""),
        dest=request.headers.get("Sec-Fetch-Dest", ""),
        origin=request.headers.get("Origin", ""),
        own_origin=f"https://{request.host}",
    )


def wrap(cls: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a class's method by a function, which gets the original method as its first argument."""

    def put(function: Callable[..., Any]) -> Callable[..., Any]:
        before = getattr(cls, name)

        @functools.wraps(before)
        def method(handler: Any, *arguments: Any, **named: Any) -> Any:
            return function(before, handler, *arguments, **named)

        setattr(cls, name, method)
        return function

    return put


def wall_requests() -> None:
    """Answer only requests that a person or our own pages make."""

    @wrap(BaseHandler, "prepare")
    async def prepare(before: Any, handler: Any) -> None:
        kind = kind_of(handler)
        asked = asked_of(handler, kind) if kind else None
        why = refusal(asked) if asked else ""
        if not why:
            await before(handler)
            return
        # As plain text: JupyterHub's error page would look up the person and set cookies.
        handler._jupyterhub_user = None
        handler.expanded_scopes, handler.parsed_scopes = set(), {}
        if asked and in_a_frame(asked):
            show(handler)
            return
        handler.set_status(403)
        handler.set_header("Content-Type", "text/plain; charset=utf-8")
        handler.finish(f"{why}.\n")


def wall_answers() -> None:
    """Give each answer its policy, and the scripts of each page their nonce."""

    @wrap(BaseHandler, "set_default_headers")
    def set_default_headers(before: Any, handler: Any) -> None:
        before(handler)
        if isinstance(handler, APIHandler):
            policy = API_POLICY
        else:
            host = urlsplit(handler.settings.get("subdomain_host") or "").netloc
            policy = page_policy(
                nonce_of(handler),
                any_style=isinstance(handler, AdminHandler),
                forms_to=(f"https://*.{host}",) if host else (),
            )
        for name, value in headers(policy).items():
            handler.set_header(name, value)
        handler.clear_header("Access-Control-Allow-Headers")
        handler.clear_header("Server")

    @wrap(BaseHandler, "render_template")
    def render_template(before: Any, handler: Any, *arguments: Any, **words: Any) -> Any:
        return before(handler, *arguments, csp_nonce=nonce_of(handler), **words)


def nonce_of(handler: Any) -> str:
    """Return the nonce of an answer."""
    if not hasattr(handler, "_class_nonce"):
        handler._class_nonce = secrets.token_urlsafe(16)
    nonce: str = handler._class_nonce
    return nonce


def wall_actions() -> None:
    """Require our own form or button for each change: a script can open any address as if by a click."""

    @wrap(TokenPageHandler, "get")
    def token_page(_before: Any, _handler: Any) -> None:
        raise HTTPError(404)

    @wrap(OAuthAuthorizeHandler, "needs_oauth_confirm")
    def needs_oauth_confirm(before: Any, handler: Any, user: Any, client: Any, scopes: Any) -> bool:
        # JupyterHub asks only once per visitor; a page that opens the server later would not need a confirmation.
        others = client.spawner is not None and client.spawner.user is not user.orm_user
        return others or bool(before(handler, user, client, scopes))

    @wrap(BaseHandler, "get_next_url")
    def get_next_url(before: Any, handler: Any, user: Any = None, default: Any = None) -> str:
        # Without it, where people go who ask for nothing. The hub's own pages open others' servers by a click.
        person = user or handler.current_user
        asked = handler._validate_next_url(handler.get_argument("next", ""))
        if asked and person and leads_to_others(asked, handler.base_url, person.name):
            for given in (handler.request.arguments, handler.request.query_arguments, handler.request.body_arguments):
                given.pop("next", None)
        address: str = before(handler, user, default)
        return address

    @wrap(SpawnHandler, "get")
    def spawn(before: Any, handler: Any, user_name: str | None = None, server_name: str = "") -> Any:
        person = handler.current_user
        if person and user_name not in (None, person.name):
            raise HTTPError(403, "Start another person's server with the button on the Admin page")
        return before(handler, user_name, server_name)

    sign_out = LogoutHandler.get

    async def ask(handler: Any) -> None:
        if handler.current_user is None:
            await sign_out(handler)
        else:
            handler.finish(await handler.render_template("logout_ask.html"))

    async def post(handler: Any) -> None:
        # Deletes what pages of this site store in the browser, also service workers, before the next person uses it.
        handler.set_header("Clear-Site-Data", '"storage"')
        await sign_out(handler)

    LogoutHandler.get, LogoutHandler.post = ask, post


def wall_options() -> None:
    """Take no options of a server from people: there are none for them.

    JupyterHub stores any options, shows them to teachers, and writes their names into its log, line breaks included.
    """

    @wrap(UserServerAPIHandler, "get_server_json_body")
    def start(before: Any, handler: Any) -> dict[str, Any]:
        body: dict[str, Any] = before(handler)
        if body["user_options"] and not isinstance(handler.current_user, orm.Service):
            raise HTTPError(400, "A server has no options")
        return body

    @wrap(UserServerAPIHandler, "patch")
    def change(_before: Any, _handler: Any, *_names: str) -> None:
        raise HTTPError(405)

    @wrap(SpawnHandler, "_get_user_options")
    def spawn_page(_before: Any, _handler: Any, _query: dict[str, list[str]]) -> dict[str, list[str]]:
        return {}

    @wrap(SpawnHandler, "post")
    def spawn_form(_before: Any, _handler: Any, *_names: str) -> None:
        raise HTTPError(405)


def give_passes(passes: Passes) -> None:
    """Give people who sign in the pass to their own server, and remove it when they sign out."""

    @wrap(BaseHandler, "set_login_cookie")
    def set_login_cookie(before: Any, handler: Any, user: Any) -> None:
        before(handler, user)
        give_pass(handler, passes, user.name)

    @wrap(BaseHandler, "clear_login_cookie")
    def clear_login_cookie(before: Any, handler: Any, name: Any = None) -> None:
        before(handler, name)
        handler.clear_cookie(COOKIE)

    @wrap(BaseHandler, "_user_for_cookie")
    def user_for_cookie(before: Any, handler: Any, name: str, value: Any = None) -> Any:
        header = handler.request.headers.get("Cookie", "")
        if value is None and len(values(header, name)) > 1:
            value = sound(header, name, *judges(handler, passes, name, values(header, COOKIE)))
        return before(handler, name, value)


def judges(handler: Any, passes: Passes, name: str, given: list[str]) -> tuple[Any, Any]:
    """Return two functions: is a cookie the hub's own, and does it belong to the person with the pass."""

    def person(value: str) -> Any:
        found = handler.get_secure_cookie(name, value, max_age_days=handler.cookie_max_age_days)
        return found and handler.db.query(orm.User).filter_by(cookie_id=found.decode("utf-8", "replace")).first()

    def of_the_pass(value: str) -> bool:
        return any(passes.fits(one, person(value).name, time.time()) for one in given)

    return person, of_the_pass


def give_pass(handler: Any, passes: Passes, name: str) -> bool:
    """Give a browser the pass to one person's server; return whether it worked."""
    try:
        value = passes.make(name, time.time())
    except (OSError, ValueError) as problem:
        handler.log.error("No pass can be made: %s", problem)
        return False
    handler._set_cookie(COOKIE, value, encrypted=False, expires_days=VALID // DAY, samesite="Lax", secure=True)
    return True


class EnterHandler(BaseHandler):
    """nginx redirects here if a browser opens a server without its pass. The owner gets the pass and goes back."""

    def initialize(self, passes: Passes) -> None:
        """Store the object that makes passes."""
        self.passes = passes

    @authenticated
    def get(self, _path: str) -> None:
        """Give the pass and redirect to the server, or say why not."""
        address = "/" + self.request.uri.removeprefix(f"{self.hub.base_url}enter/")
        owner = owner_of(address, self.base_url)
        if not owner:
            raise HTTPError(404)
        if owner != self.current_user.name:
            raise HTTPError(
                403,
                f"This is the server of {owner}. Programs there could act in your name, so only its owner can open it. "
                "Teachers can read files on the page Students' work.",
            )
        if not give_pass(self, self.passes, owner):
            raise HTTPError(500, "The hub cannot open your server now. Tell your professor.")
        self.redirect(address)
