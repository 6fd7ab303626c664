"""A page on which teachers look into students' work: read-only, as the student, and each look is logged.

A service of the hub, in a unit of its own. It opens no file of a home itself: that does ``reader``, a process for each
request that has the student's rights and no others. What comes out of a home is hostile here: it is shown in a frame
without scripts and without an origin, so that nothing in it acts in the teacher's name.
"""

import asyncio
import base64
import contextlib
import grp
import hashlib
import json
import os
import pwd
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from jupyterhub.utils import subdomain_hook_idna
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.log import app_log
from tornado.netutil import bind_unix_socket
from tornado.template import Loader
from tornado.web import Application, HTTPError, RequestHandler, authenticated

from class_work.openings import record

HERE = Path(__file__).parent
TEMPLATE = Loader(str(HERE)).load("page.html")
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_DIGEST}'; frame-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
# No scripts, no origin, nothing fetched: what stands in the file itself and no more.
CONTENT_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; media-src data:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
# New with each start: a session is then made again by the hub, unseen.
COOKIE_SECRET = os.urandom(32)
FIRST_UID = 1000
PYTHON = "/usr/bin/python3"
NOBODY = 65534
# Seconds of real time. The longest is a big folder over a slow line.
PATIENCE = {"look": 20, "show": 30, "render": 90, "fetch": 3600, "pack": 3600}
# Seconds in which a reader begins, and in which it then says something more: its student may stop it.
BEGINS, SILENCE = 90, 30
# Seconds in which one of the others that are served may end.
TURN = 15
# Seconds. Unix groups are asked at each request; the hub is asked this often whether the session is still one.
SESSION_KNOWN = 30
CHUNK = 1 << 16
FIRST_LINE = 4 << 20


@dataclass(frozen=True)
class Settings:
    """From /etc/jupyterhub/work.json; the formula's defaults say what each is."""

    socket: str
    base_url: str
    hub_api: str
    service: str
    viewers: list[str]
    owners: list[str]
    hidden: list[str]
    team_prefix: str
    teams: str
    python: str
    download: int
    subdomain_host: str = ""

    @property
    def prefix(self) -> str:
        """Where the pages begin."""
        return f"{self.base_url}services/{self.service}/"

    @property
    def callback(self) -> str:
        """Where the hub sends people back to, as it has it from the service's name."""
        if not self.subdomain_host:
            return f"{self.prefix}oauth_callback"
        hub = urlsplit(self.subdomain_host)
        return f"{hub.scheme}://{subdomain_hook_idna(self.service, hub.netloc, 'service')}{self.prefix}oauth_callback"


@dataclass(frozen=True)
class Place:
    """Whose files: where they are, and as whom they are read."""

    whose: str
    root: str
    uid: int
    gid: int


class Unavailable(Exception):
    """There is nothing to show; the teacher reads why."""


class Readers:
    """Starts ``reader`` as the owner of a place, a few at a time: the class computes on the same machine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._few = asyncio.Semaphore(6)
        # Each needs up to a gigabyte, or sends for minutes.
        self._one = {"render": asyncio.Semaphore(1), "fetch": asyncio.Semaphore(4), "pack": asyncio.Semaphore(2)}

    @contextlib.asynccontextmanager
    async def ask(self, place: Place, do: str, path: list[str]) -> AsyncIterator[tuple[dict[str, Any], Any]]:
        """Give the answer's first line, and the process that says what follows. Raises Unavailable, TimeoutError."""
        asked = {"do": do, "root": place.root, "path": path, "most": self.settings.download}
        asked["course"] = str(Path(self.settings.python).parents[1])
        async with in_turn(self._one.get(do, self._few)), asyncio.timeout(PATIENCE[do]):
            try:
                process = await self._start(place)
            except OSError as problem:
                raise Unavailable("The server cannot show this now; try again in a minute.") from problem
            try:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    process.stdin.write(json.dumps(asked).encode())
                    process.stdin.write_eof()
                yield first_line(await asyncio.wait_for(process.stdout.readline(), BEGINS)), process
            finally:
                await end(process)

    async def _start(self, place: Place) -> Any:
        return await asyncio.create_subprocess_exec(
            # Root's, until it becomes the owner itself: see there.
            *(PYTHON, "-I", "-B", str(HERE / "reader.py"), str(place.uid), str(place.gid)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=FIRST_LINE,
            umask=0o077,
            # No home: the student's own settings must not be read, and this process' token not be passed on.
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
            cwd="/",
            start_new_session=True,
        )


@contextlib.asynccontextmanager
async def in_turn(few: asyncio.Semaphore) -> AsyncIterator[None]:
    """Be one of a few. Raises Unavailable when none of them ends soon: some may take an hour."""
    try:
        async with asyncio.timeout(TURN):
            await few.acquire()
    except TimeoutError:
        raise Unavailable("Others are looking or downloading; try again in a minute.") from None
    try:
        yield
    finally:
        few.release()


def first_line(line: bytes) -> dict[str, Any]:
    """Return what the reader's first line says. Raises Unavailable when there is nothing to see."""
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError as problem:
        raise Unavailable("This cannot be shown; download it.") from problem
    if "refused" in answer:
        raise Unavailable(str(answer["refused"]))
    return answer


async def end(process: Any) -> None:
    """End a reader, whatever its student did to it: it is a process of the student's too."""
    kill(process)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SILENCE):
            # Python waits until all is taken that was sent, also of a process that is gone.
            while await process.stdout.read(CHUNK):
                pass
            await process.wait()


def kill(process: Any) -> None:
    """End a reader, and what it may have been made to start, also when it has ended itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class People:
    """Who may look, and at whose work; asked of the system anew each time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def may_look(self, account: str) -> bool:
        """Whether an account is a teacher's now."""
        return any(account in members(group) for group in self.settings.viewers)

    def owners(self) -> list[str]:
        """Return the accounts into whose homes a teacher may look."""
        found = {account for group in self.settings.owners for account in members(group)}
        return sorted(found - set(self.settings.hidden))

    def teams(self) -> list[str]:
        """Return the teams that have a directory."""
        prefix = self.settings.team_prefix
        if not prefix:
            return []
        names = [entry.gr_name.removeprefix(prefix) for entry in grp.getgrall() if entry.gr_name.startswith(prefix)]
        return sorted(name for name in names if name and (Path(self.settings.teams) / name).is_dir())

    def place(self, kind: str, name: str) -> Place | None:
        """Return where a person's or a team's files are, or None for whoever is none of the class's."""
        if kind == "team":
            return self._team(name)
        if name not in self.owners():
            return None
        entry = pwd.getpwnam(name)
        return Place(name, entry.pw_dir, entry.pw_uid, entry.pw_gid) if entry.pw_uid >= FIRST_UID else None

    def _team(self, name: str) -> Place | None:
        if name not in self.teams():
            return None
        group = grp.getgrnam(f"{self.settings.team_prefix}{name}")
        root = str(Path(self.settings.teams) / name)
        return Place(f"groups/{name}", root, NOBODY, group.gr_gid) if group.gr_gid >= FIRST_UID else None


def members(group: str) -> list[str]:
    """Return who is in a Unix group."""
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


class Page(HubOAuthenticated, RequestHandler):
    """What all pages have in common: for teachers only, and asked for by a person who opens a page."""

    settings_: Settings
    people: People
    readers: Readers

    def initialize(self, settings: Settings, people: People, readers: Readers) -> None:
        """Take what all pages share."""
        self.settings_, self.people, self.readers = settings, people, readers

    def set_default_headers(self) -> None:
        """Set what protects every answer, errors too."""
        self.set_header("Content-Security-Policy", PAGE_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "same-origin")
        self.clear_header("Server")

    async def prepare(self) -> None:
        """Refuse what no person asked for, then find out who it is without making others wait."""
        # Students' own pages are of the same origin; a script of theirs must not read what a teacher may see.
        if self.request.headers.get("Sec-Fetch-Mode") != "navigate":
            raise HTTPError(403, reason="Open this page itself, in a browser of 2023 or newer")
        # Nor does a page of theirs have it in a frame; the page's own frame has content alone.
        frames = self.get_query_argument("do", "look") in ("show", "render")
        if self.request.headers.get("Sec-Fetch-Dest", "document") not in ("document", "iframe" if frames else ""):
            raise HTTPError(403, reason="Open this page itself, in a window of its own")
        # A program may send what headers it likes; it has a token, and no browser's session.
        if self.hub_auth.get_token(self, in_cookie=False):
            raise HTTPError(403, reason="Open this page in a browser: no token opens it")
        await self.hub_auth.get_user(self, sync=False)

    def viewer(self) -> str:
        """Return the teacher's account. Raises HTTPError for everybody else."""
        account: str = self.current_user["name"]
        if not self.people.may_look(account):
            raise HTTPError(403, reason="Only professors and assistants look into students' work")
        return account

    def show_page(self, title: str, **words: Any) -> None:
        """Write a page of ours; the template escapes every word."""
        names = {
            "entries": None,
            "people": None,
            "teams": [],
            "frame": "",
            "message": "",
            "downloads": [],
            "more": False,
        }
        names |= {"title": title, "style": STYLE, "prefix": self.settings_.prefix, "above": []}
        names |= {"shown": shown, "size": size, "address_of": address_of}
        self.set_header("Content-Type", "text/html; charset=utf-8")
        # A student's page may open this one in a window, and would be let into it, being of the same origin. nginx lets
        # no student's page have this value. Not on content: that has no origin, and a browser refuses both at once.
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.finish(TEMPLATE.generate(**{**names, **words}))

    def write_error(self, status_code: int, **_: Any) -> None:
        """Say what is wrong in one line, within the page."""
        self.show_page("Students' work", message=self._reason if status_code < 500 else "This did not work; try again.")

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what is wrong with us, without the address: it has names of students' files."""
        if not isinstance(value, HTTPError):
            app_log.error("A page could not be shown", exc_info=(typ, value, tb))

    def cut(self) -> None:
        """End an answer that is under way, so that no browser takes the half for the whole."""
        self.request.connection.stream.close()


class PeoplePage(Page):
    """Everybody of the class, and the teams. Opens nobody's work, so it is not logged."""

    @authenticated
    async def get(self) -> None:
        """Show the list."""
        self.viewer()
        self.show_page("Students' work", people=self.people.owners(), teams=self.people.teams())


class WorkPage(Page):
    """One person's or team's folder or file."""

    _sends: Any = None

    def on_connection_close(self) -> None:
        """End what nobody waits for any more."""
        if self._sends is not None:
            kill(self._sends)

    @authenticated
    async def get(self, kind: str, name: str) -> None:
        """Show it, or give it for download."""
        viewer = self.viewer()
        if not self.clicked():
            # A link on another site, or a script, must not open anything in a teacher's name.
            self.redirect(self.settings_.prefix)
            return
        place = self.people.place(kind, name)
        if place is None:
            raise HTTPError(404, reason="There is nobody of that name in the class")
        path = self.path(f"{self.settings_.prefix}{kind}/{name}/")
        do = self.get_query_argument("do", "look")
        try:
            await {"look": self.look, "show": self.content, "render": self.content, "fetch": self.download,
                   "pack": self.download}[do](place, path, do, viewer)  # fmt: skip
        except KeyError:
            raise HTTPError(404, reason="There is no such page") from None
        except (Unavailable, TimeoutError) as problem:
            if self._headers_written:
                self.cut()
                return
            self.clear()
            self.set_status(404)
            self.set_header(
                "Content-Security-Policy", PAGE_POLICY.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
            )
            self.show_page(place.whose, message=str(problem) or "This takes too long; download it.")

    def clicked(self) -> bool:
        """Whether a person opened this, by a link or its address; the page's own frame then shows the content."""
        headers = self.request.headers
        if headers.get("Sec-Fetch-Site") not in ("same-origin", "none"):
            return False
        return headers.get("Sec-Fetch-User") == "?1" or headers.get("Sec-Fetch-Dest") == "iframe"

    def path(self, root: str) -> list[str]:
        """Return the names below a home that the address has, whatever bytes they are of."""
        rest = self.request.path.removeprefix(root)
        return [unquote(part, errors="surrogateescape") for part in rest.split("/") if part]

    async def look(self, place: Place, path: list[str], do: str, viewer: str) -> None:
        """Show a folder's entries, or a file within a frame."""
        async with self.readers.ask(place, do, path) as (answer, _):
            pass
        folder = answer["is_"] == "folder"
        if folder != self.request.path.endswith("/"):
            # Links of a folder begin at its own address.
            self.redirect(self.request.path.rstrip("/") + ("/" if folder else ""))
            return
        record(viewer, place.whose, "folder listed" if folder else "file opened")
        address = self.request.path
        words: dict[str, Any] = {"above": self.steps(place, path)}
        if folder:
            words |= {
                "entries": answer["entries"],
                "more": answer["more"],
                "downloads": [(f"{address}?do=pack", "ZIP")],
            }
        else:
            words["downloads"] = [(f"{address}?do=fetch", size(answer["size"]))]
            how = {"notebook": "render", "picture": "show", "text": "show"}.get(answer["kind"])
            words |= {"frame": f"{address}?do={how}"} if how else {"message": "This cannot be shown; download it."}
        self.show_page(" / ".join([place.whose, *map(shown, path)]), **words)

    def steps(self, place: Place, path: list[str]) -> list[tuple[str, str]]:
        """Return the names and addresses from the home down to what is shown."""
        address = "team/" + place.whose.removeprefix("groups/") if place.uid == NOBODY else "of/" + place.whose
        found = [(place.whose, f"{self.settings_.prefix}{address}/")]
        for part in path:
            found.append((shown(part), f"{found[-1][1]}{quote(part, safe='', errors='surrogateescape')}/"))
        return found

    async def content(self, place: Place, path: list[str], do: str, viewer: str) -> None:
        """Give what the frame shows."""
        record(viewer, place.whose, "file shown")
        async with self.readers.ask(place, do, path) as (answer, process):
            self.set_header("Content-Security-Policy", CONTENT_POLICY)
            self.set_header("Content-Type", answer["type"])
            await self.send(process, answer["size"])

    async def download(self, place: Place, path: list[str], do: str, viewer: str) -> None:
        """Give a file as it is, or a folder as one archive."""
        record(viewer, place.whose, "downloaded")
        async with self.readers.ask(place, do, path) as (answer, process):
            name = shown(path[-1]) if path else place.whose.replace("/", "-")
            name = name if do == "fetch" else f"{name}.zip"
            self.set_header("Content-Security-Policy", CONTENT_POLICY)
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(name, safe='')}")
            await self.send(process, answer.get("size"))

    async def send(self, process: Any, expected: int | None) -> None:
        """Pass on what a reader gives, as fast as the teacher's line takes it."""
        if expected is not None:
            self.set_header("Content-Length", str(expected))
        done, self._sends = 0, process
        with contextlib.suppress(StreamClosedError):
            while chunk := await asyncio.wait_for(process.stdout.read(CHUNK), SILENCE):
                done += len(chunk)
                self.write(chunk)
                # Who takes nothing holds a place that others wait for.
                await asyncio.wait_for(self.flush(), SILENCE)
            if await asyncio.wait_for(process.wait(), SILENCE) or expected not in (None, done):
                self.cut()
            else:
                await asyncio.wait_for(self.finish(), SILENCE)


def shown(name: str) -> str:
    """Return a name as text to show: bytes that are no UTF-8 and letters that turn or break a line become marks."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def address_of(entry: dict[str, Any]) -> str:
    """Return where an entry's page is, beside the folder's."""
    return quote(entry["name"], safe="", errors="surrogateescape") + ("/" if entry["kind"] == "folder" else "")


def application(settings: Settings) -> Application:
    """Return the pages below the service's address."""
    shared = {"settings": settings, "people": People(settings), "readers": Readers(settings)}
    prefix = re.escape(settings.prefix)
    return Application(
        [
            (prefix, PeoplePage, shared),
            (f"{prefix}oauth_callback", HubOAuthCallbackHandler),
            (f"{prefix}(of|team)/([a-z_][a-z0-9_-]*)/.*", WorkPage, shared),
        ],
        cookie_secret=COOKIE_SECRET,
        log_function=lambda _: None,
    )


async def main(path: str) -> None:
    """Serve for as long as the unit runs."""
    settings = Settings(**json.loads(Path(path).read_text(encoding="utf-8")))
    # The one that all pages use (HubAuthenticated.hub_auth).
    HubOAuth.instance(
        api_token=os.environ.pop("STUDENTS_WORK_TOKEN"),
        api_url=settings.hub_api,
        base_url=settings.prefix,
        hub_host=settings.subdomain_host,
        oauth_redirect_uri=settings.callback,
        cookie_host_prefix_enabled=bool(settings.subdomain_host),
        hub_prefix=f"{settings.base_url}hub/",
        oauth_client_id=f"service-{settings.service}",
        access_scopes={f"access:services!service={settings.service}"},
        cache_max_age=SESSION_KNOWN,
        cookie_options={"samesite": "Lax"},
    )
    server = HTTPServer(application(settings))
    # Its directory lets in the proxy alone.
    server.add_socket(bind_unix_socket(settings.socket, mode=0o660))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
