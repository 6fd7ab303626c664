"""nbgitpuller's page with one more step: what the student has to hear, before Lab opens."""

import os
from pathlib import Path
from urllib.parse import quote, unquote

from nbgitpuller import handlers
from tornado import web

from class_pull.notes import Note, show


class PullPage(handlers.UIHandler):
    """Sends the browser on to ``ToldPage`` instead of to Lab."""

    async def prepare(self) -> None:
        """Put the step into what the link asked for."""
        await super().prepare()
        repo = self.get_query_argument("repo", "")
        if not repo:
            return
        folder = self._asked("target", repo.rstrip("/").split("/")[-1])
        inside = str(_parent() / folder / self._asked("sub", "."))
        address = self._asked("url", f"lab/tree/{quote(inside)}")
        then = f"git-pull/then/{quote(folder, safe='')}/{address.lstrip('/')}"
        self.request.arguments["urlpath"] = [then.encode()]

    def _asked(self, which: str, otherwise: str) -> str:
        """A parameter under either of the names that nbgitpuller knows it by."""
        return self.get_query_argument(f"{which}path", "") or self.get_query_argument(f"{which}Path", "") or otherwise


class ToldPage(handlers.JupyterHandler):
    """Which of the student's files were kept; straight on to Lab when there is nothing to say."""

    @web.authenticated
    async def get(self, _folder: str, _address: str) -> None:
        """Show it, or go on."""
        # As the browser sent it: the address may hold a query and quoted letters of its own.
        folder, _, address = self.request.uri.partition("/git-pull/then/")[2].partition("/")
        inside = _parent() / unquote(folder)
        told = show(Path(self.settings["server_root_dir"]).expanduser() / inside)
        if not told:
            self.redirect(self.base_url + address)
            return
        lab = f"{self.base_url}lab/tree/{quote(str(inside))}/"
        notes = [
            {**_readable(note), "link": lab + quote(os.fsencode(note.get("beside", note["path"])))} for note in told
        ]
        from jinja2 import Environment, FileSystemLoader

        pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(pages.get_template("told.html").render(notes=notes, on=self.base_url + address))


def _readable(note: Note) -> Note:
    """Without what is no letter: a file's name may be any bytes."""
    return {key: os.fsencode(text).decode(errors="replace") for key, text in note.items()}


def _parent() -> Path:
    return Path(os.getenv("NBGITPULLER_PARENTPATH", ""))
