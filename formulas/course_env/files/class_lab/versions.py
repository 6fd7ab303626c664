"""A page of a student's own earlier versions: open, compare, put back. It also works on a phone."""

import asyncio
import difflib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.template import Loader

from class_lab.past import NotThere, Past, parts_of, text_of

NOTHING = "There are no earlier versions yet. They are kept each hour, of what has changed."


class Versions(JupyterHandler):
    """``?path=`` is below the home; ``at`` is a version, ``do`` what to show of it."""

    past = Past(Path.home(), Path("/srv/earlier/home"))

    @web.authenticated
    async def get(self) -> None:
        """Show a folder, the versions of a file, one of them, or what is different in it."""
        await self._show(self.get_query_argument("do", ""), self.get_query_argument("at", ""))

    @web.authenticated
    async def post(self) -> None:
        """Put a version back."""
        at = self.get_body_argument("at")
        try:
            name = await asyncio.to_thread(self.past.put_back, parts_of(self.get_query_argument("path", "")), at)
        except (NotThere, OSError) as problem:
            await self._show("", "", f"Not put back: {getattr(problem, 'strerror', None) or problem}")
            return
        await self._show("", "", f"Put back as {name}.")

    async def _show(self, do: str, at: str, said: str = "") -> None:
        path = self.get_query_argument("path", "")
        words: dict[str, Any] = {"said": said, "versions": [], "names": [], "text": None, "above": []}
        try:
            parts = parts_of(path)
            words |= await asyncio.to_thread(self._found, parts, do, at)
            words["above"] = [(part, _to("/".join(parts[: n + 1]))) for n, part in enumerate(parts)]
        except (NotThere, OSError) as problem:
            words["said"] = str(getattr(problem, "strerror", None) or problem)
        words["token"] = self.xsrf_token.decode()
        words["version"] = lambda moment, how: _to(path, at=moment, do=how)
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.finish(Loader(str(Path(__file__).parent)).load("versions.html").generate(**words))

    def _found(self, parts: list[str], do: str, at: str) -> dict[str, Any]:
        if do == "open":
            return {"text": text_of(self.past.one(parts, at))}
        if do == "compare":
            now = self.past.home.joinpath(*parts)
            before = text_of(self.past.one(parts, at)).splitlines()
            after = text_of(now).splitlines() if now.exists() else []
            different = "\n".join(difflib.unified_diff(before, after, at, "now", lineterm=""))
            return {"text": different or "Nothing is different."}
        found = self.past.of(parts) if parts else []
        names = self.past.names(parts)
        below = [(name, there, _to("/".join([*parts, name]))) for name, there in names]
        shown = [(moment, _size(version)) for moment, version in found]
        return {"versions": shown, "names": below} | ({} if self.past.moments() else {"said": NOTHING})


def _to(path: str, **more: str) -> str:
    return "?" + urlencode({"path": path, **more})


def _size(path: Path) -> str:
    return "folder" if path.is_dir() else f"{path.lstat().st_size:,} bytes"
