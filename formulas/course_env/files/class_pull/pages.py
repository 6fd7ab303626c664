"""The pages of a pull at nbgitpuller's address: it runs, it failed, and what the student hears before Lab opens."""

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
#: Browsers of 2023 and newer say where a request comes from.
_SITE = "Sec-Fetch-Site"


class _Pulling:
    """What the page and the pull itself have in common: a link chooses one of the course's repositories, no more."""

    settings: dict[str, Any]
    request: Any

    def _course(self) -> Course:
        return course(self.settings["class_pull_course"])

    def _repository(self) -> Repository:
        """Return what a link asks for. Raises NotGiven."""
        return self._course().find(self.get_query_argument("repo", ""), self.get_query_argument("branch", None))  # type: ignore[attr-defined]

    def _anew(self) -> bool:
        """Whether the student asked, on our own page, to have the folder put aside: no link of others' may."""
        asked = self.get_query_argument("backup", "")  # type: ignore[attr-defined]
        return bool(asked) and self.request.headers.get(_SITE) == "same-origin"


class PullPage(_Pulling, handlers.JupyterHandler):
    """Shows that a pull runs, and sends the browser on to ``ToldPage``; a script of ours asks for the pull itself."""

    @web.authenticated
    async def get(self) -> None:
        """Show it."""
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
                backup="true" if self._anew() else "",
                xsrf=self.xsrf_token.decode(),
                help=self._course().help,
                script=f"{self.base_url}git-pull/page/pull.js",
            )
        )


class PullStream(_Pulling, handlers.SyncHandler):
    """nbgitpuller's own stream of a pull, which no other page may ask for."""

    async def prepare(self) -> None:
        """Put the course's own words in the place of the link's."""
        await super().prepare()
        if self._finished:
            return
        if self.request.headers.get(_SITE, "same-origin") != "same-origin":
            raise web.HTTPError(403, reason="A pull begins on its own page")
        self.check_xsrf_cookie()
        repository, anew = self._repository(), self._anew()
        self.request.arguments = {
            "repo": [repository.url.encode()],
            "branch": [repository.branch.encode()],
            "targetpath": [repository.name.encode()],
            **({"backup": [b"true"]} if anew else {}),
        }


class ToldPage(handlers.JupyterHandler):
    """Which of the student's files were kept; straight on to Lab when there is nothing to say."""

    @web.authenticated
    async def get(self, _folder: str, _address: str) -> None:
        """Show it, or go on."""
        # As the browser sent it: the address may hold a query and quoted letters of its own.
        folder, _, asked = self.request.uri.partition("/git-pull/then/")[2].partition("/")
        folder, address = unquote(folder), page(asked) or "lab"
        told = show(Path(self.settings["server_root_dir"]).expanduser() / folder)
        if not told:
            self.redirect(self.base_url + address)
            return
        lab = f"{self.base_url}lab/tree/{quote(folder)}/"
        notes = [
            {**_readable(note), "link": lab + quote(os.fsencode(note.get("beside", note["path"])))} for note in told
        ]
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(_template("told.html").render(notes=notes, on=self.base_url + address))


def _template(name: str) -> Any:
    return Environment(loader=FileSystemLoader(HERE), autoescape=True).get_template(name)


def _readable(note: Note) -> Note:
    """Without what is no letter: a file's name may be any bytes."""
    return {key: os.fsencode(text).decode(errors="replace") for key, text in note.items()}
