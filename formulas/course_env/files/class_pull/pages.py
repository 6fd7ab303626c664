"""The pages of a pull at nbgitpuller's address: it runs, it failed, and the notes before Lab opens."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader
from nbgitpuller import handlers
from tornado import web

from class_pull.asked import Course, NotGiven, Repository, course, page
from class_pull.notes import Note, show

HERE = Path(__file__).parent
#: In this header, browsers since 2023 say where a request comes from.
_SITE = "Sec-Fetch-Site"


class _Pulling:
    """The base of the page and of the pull: a link only chooses one of the course's repositories."""

    settings: dict[str, Any]
    request: Any

    def _course(self) -> Course:
        return course(self.settings["class_pull_course"])

    def _repository(self) -> Repository:
        """Return the repository that a link asks for. Raises NotGiven."""
        return self._course().find(self.get_query_argument("repo", ""), self.get_query_argument("branch", None))  # type: ignore[attr-defined]

    def _from_scratch(self) -> bool:
        """Return whether the student asked, on our own page, to put the folder aside. Other pages' links may not."""
        asked = self.get_query_argument("backup", "")  # type: ignore[attr-defined]
        return bool(asked) and self.request.headers.get(_SITE) == "same-origin"


class PullPage(_Pulling, handlers.JupyterHandler):
    """Shows that a pull runs, then redirects to ``ToldPage``. Our script on this page starts the pull itself."""

    @web.authenticated
    async def get(self) -> None:
        """Show the page."""
        try:
            repository = self._repository()
        except NotGiven as problem:
            self.set_status(problem.status_code)
            self.finish(_template("pull.html").render(failed=problem.advice, base=self.base_url))
            return
        asked = self.get_query_argument("urlpath", "") or self.get_query_argument("urlPath", "")
        inside = self.get_query_argument("subpath", "") or self.get_query_argument("subPath", "")
        there = page(asked) or page(f"lab/tree/{quote(f'{repository.name}/{inside}'.rstrip('/'))}")
        self.set_header("Cache-Control", "no-store")
        self.finish(
            _template("pull.html").render(
                base=self.base_url,
                repository=repository,
                path=f"git-pull/then/{quote(repository.name, safe='')}/{there or 'lab'}",
                backup="true" if self._from_scratch() else "",
                xsrf=self.xsrf_token.decode(),
                help=self._course().help,
                script=f"{self.base_url}git-pull/page/pull.js",
            )
        )


class PullStream(_Pulling, handlers.SyncHandler):
    """nbgitpuller's own stream of a pull; no other page may request it."""

    async def prepare(self) -> None:
        """Replace the link's parameters by the course's."""
        await super().prepare()
        if self._finished:
            return
        if self.request.headers.get(_SITE, "same-origin") != "same-origin":
            raise web.HTTPError(403, reason="A pull starts on its own page")
        self.check_xsrf_cookie()
        repository, from_scratch = self._repository(), self._from_scratch()
        self.request.arguments = {
            "repo": [repository.url.encode()],
            "branch": [repository.branch.encode()],
            "targetpath": [repository.name.encode()],
            **({"backup": [b"true"]} if from_scratch else {}),
        }


class ToldPage(handlers.JupyterHandler):
    """Lists the student's files that were kept; redirects to Lab if there are none."""

    @web.authenticated
    async def get(self, _folder: str, _address: str) -> None:
        """Show the notes, or redirect."""
        # The address as the browser sent it: it may contain a query and quoted characters.
        folder, _, asked = self.request.uri.partition("/git-pull/then/")[2].partition("/")
        folder, address = unquote(folder), page(asked) or "lab"
        found = show(Path(self.settings["server_root_dir"]).expanduser() / folder)
        if not found:
            self.redirect(self.base_url + address)
            return
        lab = f"{self.base_url}lab/tree/{quote(folder)}/"
        notes = [
            {**_readable(note), "link": lab + quote(os.fsencode(note.get("beside", note["path"])))} for note in found
        ]
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(_template("notes.html").render(notes=notes, on=self.base_url + address))


def _template(name: str) -> Any:
    return Environment(loader=FileSystemLoader(HERE), autoescape=True).get_template(name)


def _readable(note: Note) -> Note:
    """Replace invalid bytes: a file's name may be any bytes."""
    return {key: os.fsencode(text).decode(errors="replace") for key, text in note.items()}
