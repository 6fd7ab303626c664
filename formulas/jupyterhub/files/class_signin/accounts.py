"""The base of all kinds of sign-in: the machine's accounts and groups decide."""

import asyncio
import grp
import json
import os
import pwd
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pamela
from class_inside.page import page_from
from jupyterhub.auth import Authenticator
from tornado.web import HTTPError, RequestHandler
from traitlets import Dict, Instance, Set, Unicode, default

from class_signin.leaving import Marks, SignOut
from class_signin.tries import Devices, Rank, TooManyError, Tries, Turns

# Passwords that are checked at the same time, in the order of ``Turns``. Accounts have a separate thread.
AT_ONCE = 2
PASSWORDS = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
ACCOUNTS = ThreadPoolExecutor(1, thread_name_prefix="accounts")
# The machine's accounts and groups; each change replaces a file by a new one.
FILES = [Path("/etc/passwd"), Path("/etc/shadow"), Path("/etc/group")]
# Seconds until a wrong password is answered, so that the time does not show whether the account exists.
WRONG_ANSWER = 1.0
# libcrypt's own limit; a longer password would only cost time.
LONGEST_PASSWORD = 512
# Seconds after which a person is checked again although no file changed: an account may expire on its date.
LOOK_AGAIN = 60


class Refused(HTTPError):
    """A sign-in is refused. ``heading`` goes to the log, so it names nobody; the student reads ``advice``."""

    def __init__(self, status: int, heading: str, advice: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, heading)
        self.jupyterhub_message = advice
        self.headers = headers or {}


class QuietHandler(RequestHandler):
    """Keeps the addresses of refused sign-ins, with their codes and states, out of the log."""

    log: Any

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log a refusal by its path and heading."""
        if isinstance(value, HTTPError):
            self.log.warning("%s %s: %s", value.status_code, self.request.path, value.log_message)
        else:
            super().log_exception(typ, value, tb)


class ClassAuthenticator(Authenticator):
    """Local accounts; the machine's accounts and groups decide.

    Everybody who is signed in is checked again: a locked account is signed out, and a person who left a group loses its
    role.
    """

    service = Unicode("jupyterhub", config=True, help="The PAM service that knows passwords and locked accounts.")
    allowed_groups = Set(Unicode(), config=True, help="Unix groups whose members may sign in.")
    named_groups = Set(Unicode(), config=True, help="Unix groups that mean something to the hub, such as a role's.")
    identities_file = Unicode(config=True, help="JSON: accounts by the provider's name of a person, in small letters.")
    local_accounts = Set(Unicode(), config=True, help="Accounts that sign in by password, whatever the kind is.")
    page_file = Unicode(
        "/etc/jupyterhub/page.json", config=True, help="Texts on the hub's pages; has the help contact."
    )
    left_file = Unicode(config=True, help="JSON: a mark for each account that left or lost a role (leaving.py).")
    marks = Instance(Marks)
    # Accounts that were found valid: the state of FILES then, and the time.
    _looked = Dict()

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._tries, self._turns, self._devices = Tries(), Turns(AT_ONCE), Devices()

    @default("marks")
    def _marks(self) -> Marks:
        return Marks(self.left_file)

    def get_handlers(self, app: Any) -> list[Any]:
        """Return the pages of this kind of sign-in, and a sign-out that leaves nothing valid."""
        return [("/logout", SignOut), *super().get_handlers(app)]

    def add_user(self, user: Any) -> None:
        """End sessions from before the account's mark. The hub calls this at its start and for each new person."""
        super().add_user(user)
        self.marks.settle(user)

    async def get_authenticated_user(self, handler: Any, data: Any) -> Any:
        """Sign a person in; sessions from before the account's mark end first."""
        model = await super().get_authenticated_user(handler, data)
        user = handler.find_user(model["name"]) if model else None
        if user is not None:
            self.marks.settle(user)
        return model

    async def authenticate(self, handler: Any, data: Any = None) -> dict[str, Any] | None:
        """Return the account and its groups, or None if the password in the hub's own form is wrong."""
        return await self.by_password(handler, data)

    def has_password(self, account: str) -> bool:
        """Return whether an account signs in by the hub's form: ``check`` has no account at the provider."""
        return account in self.local_accounts

    async def by_password(self, handler: Any, data: dict[str, str] | None) -> dict[str, Any] | None:
        """Return the model of the account if the form has its password, or None. Raises Refused after too many tries.

        A right password is answered at once, however many wrong ones other people send.
        """
        began = time.monotonic()
        form = data if isinstance(data, dict) else {}
        # Phones write the first letter as a capital; Unix accounts have none.
        typed, password = str(form.get("username", "")).strip().lower(), str(form.get("password", ""))
        # Whoever types their email address means the account of whose it is.
        name = self.identities().get(typed, typed) if "@" in typed else typed
        if name and password and await self._is_right(handler, typed, name, password):
            model = await self.open_account(name)
            if model:
                self._devices.remember(handler, name, secrets.token_hex(8))
                return model
        self.log.warning("A wrong password from %s", handler.request.remote_ip)
        await asyncio.sleep(began + WRONG_ANSWER - time.monotonic())
        return None

    async def _is_right(self, handler: Any, typed: str, name: str, password: str) -> bool:
        """Whether the password is the account's. A name that cannot sign in is counted like any other.

        An email address has a count of its own: shared with its account's, it would tell a stranger whose it is.
        """
        device = self._devices.known(handler, name)
        try:
            with self._tries.taken(typed, handler.request.remote_ip, device) as this:
                this.right = await self._pam_agrees(this.rank, name, password)
        except TooManyError as problem:
            raise self.guessed(problem.seconds) from None
        return this.right

    async def _pam_agrees(self, rank: Rank, name: str, password: str) -> bool:
        if len(password) > LONGEST_PASSWORD or "\0" in password or not self.has_password(name):
            return False
        try:
            if not self.allowed_groups.intersection(self.class_groups(name)):
                return False
            # People who copy a password often also copy a space or the end of the line.
            for typed in dict.fromkeys([password, password.strip()]):
                async with self._turns.turn(rank):
                    if await in_thread(PASSWORDS, self._pam_knows, name, typed):
                        return True
        except KeyError:
            return False
        return False

    def _pam_knows(self, name: str, password: str) -> bool:
        try:
            pamela.authenticate(name, password, service=self.service)
        except pamela.PAMError:
            return False
        return True

    def guessed(self, seconds: int) -> Refused:
        """Return the error if no try is left."""
        return Refused(
            429,
            "Too many wrong passwords",
            f"Too many wrong passwords for this account. Try again in {seconds} seconds, or with a browser in which "
            f"you have signed in before. If it was not you, tell your professor. {self.help()}",
            {"Retry-After": str(seconds)},
        )

    async def by_identity(self, *identities: str) -> dict[str, Any]:
        """Return the model of the first of ``identities`` that is on the roster; raise Refused if none is."""
        known = self.identities()
        account = next((known[one.lower()] for one in identities if one.lower() in known), None)
        model = await self.open_account(account) if account else None
        if model is None:
            raise Refused(
                403,
                "Not on the class list",
                f"You signed in as {' / '.join(dict.fromkeys(identities))}, and this course does not know that name. "
                f"If you have another account, sign out there and sign in with the one of this course. {self.help()}",
            )
        return model

    def identities(self) -> dict[str, str]:
        """Return the roster's identities, read at each sign-in: adding or removing a person needs no restart."""
        try:
            found: dict[str, str] = json.loads(Path(self.identities_file).read_text())
        except (OSError, ValueError) as problem:
            self.log.error("The roster's identities cannot be read: %s", problem)
            return {}
        return found

    def help(self) -> str:
        """Return the sentence that ends each refusal."""
        contact = page_from(self.page_file)(None)["help"]
        return f"If that does not help: {contact}" if contact else "If that does not help, ask your professor."

    async def open_account(self, account: str) -> dict[str, Any] | None:
        """Return the model of an account that exists, is not locked and has not expired; otherwise None."""
        try:
            await in_thread(ACCOUNTS, pamela.check_account, account, service=self.service)
            return {"name": account, "groups": self.class_groups(account)}
        except (pamela.PAMError, KeyError):
            return None

    def class_groups(self, account: str) -> list[str]:
        """Return the Unix groups of ``account`` that the hub uses."""
        mine = set(os.getgrouplist(account, pwd.getpwnam(account).pw_gid))
        found = []
        for name in sorted(self.allowed_groups | self.named_groups):
            try:
                if grp.getgrnam(name).gr_gid in mine:
                    found.append(name)
            except KeyError:
                continue
        return found

    def check_blocked_users(self, username: str, authentication: Any = None) -> bool:
        """Block nobody by name: a person who must not sign in has no open account."""
        blocked: bool = Authenticator.check_blocked_users(self, username, authentication)
        return blocked

    async def check_allowed(self, username: str, authentication: Any = None) -> bool:  # noqa: ARG002
        """Allow only members of the allowed groups."""
        return bool(authentication) and bool(self.allowed_groups.intersection(authentication["groups"]))

    async def refresh_user(self, user: Any, handler: Any = None, **_: Any) -> dict[str, Any] | bool:  # noqa: ARG002
        """Return the groups as they are now, False if the person must be signed out, True if nothing changed.

        The hub asks at nearly every request, so a role ends when the machine's groups change.
        """
        if self.marks.settle(user):
            return False
        seen = [(found.st_ino, found.st_mtime_ns) for found in (path.stat() for path in FILES)]
        before = self._looked.get(user.name)
        if before and before[0] == seen and time.monotonic() - before[1] < LOOK_AGAIN:
            return True
        self._looked.pop(user.name, None)
        began = time.monotonic()
        model = await self.open_account(user.name)
        if not model or not self.allowed_groups.intersection(model["groups"]):
            return False
        self._looked[user.name] = (seen, began)
        return model


async def in_thread(pool: ThreadPoolExecutor, function: Any, *arguments: Any, **named: Any) -> Any:
    """Run a blocking function in a thread and wait for it."""
    return await asyncio.wrap_future(pool.submit(function, *arguments, **named))
