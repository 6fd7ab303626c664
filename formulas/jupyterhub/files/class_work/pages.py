"""The pages on which teachers look into students' work: the list of people, and one page for each folder or file.

Content from a home is treated as hostile: it is shown in a frame without scripts and without an origin, so that nothing
in it can act in the teacher's name.
"""

import asyncio
import base64
import contextlib
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from class_openings.log import record
from jupyterhub.services.auth import HubOAuthenticated
from tornado.iostream import StreamClosedError
from tornado.log import app_log
from tornado.template import Loader
from tornado.web import HTTPError, RequestHandler, authenticated

from class_work import reading
from class_work.notices import notices
from class_work.places import NOBODY, People, Place, Settings
from class_work.reading import Readers, Unavailable

HERE = Path(__file__).parent
TEMPLATE = Loader(str(HERE)).load("page.html")
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_DIGEST}'; frame-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
# No scripts, no origin, no requests: only what is in the file itself.
CONTENT_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; media-src data:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)


class Page(HubOAuthenticated, RequestHandler):
    """The base of all pages: only for teachers, and only if a person opens the page."""

    settings_: Settings
    people: People
    readers: Readers

    def initialize(self, settings: Settings, people: People, readers: Readers) -> None:
        """Store the objects that all pages share."""
        self.settings_, self.people, self.readers = settings, people, readers

    def set_default_headers(self) -> None:
        """Set the headers that protect every answer, also errors."""
        self.set_header("Content-Security-Policy", PAGE_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "same-origin")
        self.clear_header("Server")

    async def prepare(self) -> None:
        """Refuse requests that no person made, then find out who it is without blocking others."""
        # Students' own pages may have the same origin; their scripts must not read what a teacher may see.
        if self.request.headers.get("Sec-Fetch-Mode") != "navigate":
            raise HTTPError(403, reason="Open this page itself, in a browser of 2023 or newer")
        # Students' pages must not show it in a frame either. Our own frame only has content.
        frames = self.get_query_argument("do", "look") in ("show", "render")
        if self.request.headers.get("Sec-Fetch-Dest", "document") not in ("document", "iframe" if frames else ""):
            raise HTTPError(403, reason="Open this page itself, in its own window")
        # A program can send any headers. It has a token, and not a browser's session.
        if self.hub_auth.get_token(self, in_cookie=False):
            raise HTTPError(403, reason="Open this page in a browser: no token opens it")
        await self.hub_auth.get_user(self, sync=False)

    def viewer(self) -> str:
        """Return the teacher's account. Raises HTTPError for other people."""
        account: str = self.current_user["name"]
        if not self.people.may_look(account):
            raise HTTPError(403, reason="Only professors and assistants can look into students' work")
        return account

    def show_page(self, title: str, **words: Any) -> None:
        """Write a page; the template escapes every value."""
        names: dict[str, Any] = {
            "entries": None,
            "people": None,
            "names": {},
            "teams": [],
            "frame": "",
            "message": "",
            "notices": [],
            "downloads": [],
            "more": False,
        }
        names |= {"title": title, "style": STYLE, "prefix": self.settings_.prefix, "above": []}
        names |= {"shown": shown, "size": size, "address_of": address_of}
        self.set_header("Content-Type", "text/html; charset=utf-8")
        # A student's page may open this one in a window, and could read it if both have the same origin. nginx lets no
        # student's page have this value. Not set on content: it has no origin, and browsers refuse both together.
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.finish(TEMPLATE.generate(**{**names, **words}))

    def write_error(self, status_code: int, **_: Any) -> None:
        """Show the error in one line, within the page."""
        self.show_page("Students' work", message=self._reason if status_code < 500 else "This did not work; try again.")

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log only our own errors, without the address: it contains names of students' files."""
        if not isinstance(value, HTTPError):
            app_log.error("A page could not be shown", exc_info=(typ, value, tb))

    def cut(self) -> None:
        """Break off an answer, so that no browser takes the incomplete answer for the whole."""
        connection: Any = self.request.connection
        connection.stream.close()


class PeoplePage(Page):
    """The list of people and teams. It opens nobody's work, so it is not logged."""

    @authenticated
    async def get(self) -> None:
        """Show the list."""
        self.viewer()
        self.show_page(
            "Students' work",
            notices=notices(self.settings_.disk, self.settings_.backup),
            people=self.people.owners(),
            names=self.people.names(),
            teams=self.people.teams(),
        )


class WorkPage(Page):
    """A folder or file of one person or team."""

    _sends: Any = None

    def on_connection_close(self) -> None:
        """End the reader when the browser is gone."""
        if self._sends is not None:
            reading.kill(self._sends)

    @authenticated
    async def get(self, kind: str, name: str) -> None:
        """Show it, or send it as a download."""
        viewer = self.viewer()
        if not self.clicked():
            # A link on another site, or a script, must not open anything in a teacher's name.
            self.redirect(self.settings_.prefix)
            return
        place = self.people.place(kind, name)
        if place is None:
            raise HTTPError(404, reason="There is nobody with that name in the class")
        path = self.path(f"{self.settings_.prefix}{kind}/{name}/")
        do = self.get_query_argument("do", "look")
        ways = {
            "look": self.look,
            "show": self.content,
            "render": self.content,
            "fetch": self.download,
            "pack": self.download,
        }
        if do not in ways:
            raise HTTPError(404, reason="There is no such page")
        try:
            await ways[do](place, path, do, viewer)
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
        """Return whether a person opened this, by a link or its address, or the page's own frame did."""
        headers = self.request.headers
        if headers.get("Sec-Fetch-Site") not in ("same-origin", "none"):
            return False
        return headers.get("Sec-Fetch-User") == "?1" or headers.get("Sec-Fetch-Dest") == "iframe"

    def path(self, root: str) -> list[str]:
        """Return the names below the home in the address; they may be any bytes."""
        rest = self.request.path.removeprefix(root)
        return [unquote(part, errors="surrogateescape") for part in rest.split("/") if part]

    async def look(self, place: Place, path: list[str], do: str, viewer: str) -> None:
        """Show a folder's entries, or a file within a frame."""
        async with self.readers.ask(place, do, path) as (answer, _):
            pass
        folder = answer["is_"] == "folder"
        if folder != self.request.path.endswith("/"):
            # Relative links of a folder need the slash at the end of its address.
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
        self.show_page(" / ".join([self.called(place), *map(shown, path)]), **words)

    def called(self, place: Place) -> str:
        """Return whose work it is: a person by name and account."""
        name = self.people.names().get(place.whose)
        return f"{shown(name)} ({place.whose})" if name else place.whose

    def steps(self, place: Place, path: list[str]) -> list[tuple[str, str]]:
        """Return names and addresses from the home down to the shown file or folder."""
        address = "team/" + place.whose.removeprefix("groups/") if place.uid == NOBODY else "of/" + place.whose
        found = [(self.called(place), f"{self.settings_.prefix}{address}/")]
        for part in path:
            found.append((shown(part), f"{found[-1][1]}{quote(part, safe='', errors='surrogateescape')}/"))
        return found

    async def content(self, place: Place, path: list[str], do: str, viewer: str) -> None:
        """Send the content for the frame."""
        record(viewer, place.whose, "file shown")
        async with self.readers.ask(place, do, path) as (answer, process):
            self.set_header("Content-Security-Policy", CONTENT_POLICY)
            self.set_header("Content-Type", answer["type"])
            await self.send(process, answer["size"])

    async def download(self, place: Place, path: list[str], do: str, viewer: str) -> None:
        """Send a file as it is, or a folder as one archive."""
        record(viewer, place.whose, "downloaded")
        async with self.readers.ask(place, do, path) as (answer, process):
            name = shown(path[-1]) if path else place.whose.replace("/", "-")
            name = name if do == "fetch" else f"{name}.zip"
            self.set_header("Content-Security-Policy", CONTENT_POLICY)
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(name, safe='')}")
            await self.send(process, answer.get("size"))

    async def send(self, process: Any, expected: int | None) -> None:
        """Pass on the reader's output, as fast as the teacher's connection allows."""
        if expected is not None:
            self.set_header("Content-Length", str(expected))
        done, self._sends = 0, process
        with contextlib.suppress(StreamClosedError):
            while chunk := await asyncio.wait_for(process.stdout.read(reading.CHUNK), reading.SILENCE):
                done += len(chunk)
                self.write(chunk)
                # A client that reads nothing must not block a place for which others wait.
                await asyncio.wait_for(self.flush(), reading.SILENCE)
            if await asyncio.wait_for(process.wait(), reading.SILENCE) or expected not in (None, done):
                self.cut()
            else:
                await asyncio.wait_for(self.finish(), reading.SILENCE)


def shown(name: str) -> str:
    """Return a name as text: bytes that are not UTF-8 and characters that turn or break a line become marks."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def size(count: float) -> str:
    """Return a number of bytes as text for people."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def address_of(entry: dict[str, Any]) -> str:
    """Return the address of an entry's page, relative to the folder's."""
    return quote(entry["name"], safe="", errors="surrogateescape") + ("/" if entry["kind"] == "folder" else "")
