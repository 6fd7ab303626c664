"""Protect a person's server at the memory limit: refuse too big files, and let other processes be killed first."""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jupyter_server.services.contents.handlers import ContentsHandler
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

from class_server.uploads import Uploads

# Bytes. A file in a tab is in memory several times at once: as text, as objects, as JSON, as bytes to send. Measured on
# notebooks that were opened and then saved (docs/decisions/memory-limit.md): up to eight times the size on the disk,
# and 2.5 KB more for each cell and each output. The server alone uses 120 MB.
TIMES, NODE, SERVER = 8, 3 << 10, 128 << 20
MEGABYTE = 1 << 20
# Inside of a string value the quotation marks have a backslash, so this matches only keys.
NODES = re.compile(rb'"(?:cell|output)_type":')
# A smaller file fits any server, whatever its content.
SMALL = 1 << 20
# Bytes that are read at once.
PIECE = 1 << 20


def memory_limit() -> int:
    """Return the bytes that this server and its kernels may use; 0 if there is no limit."""
    limit = os.environ.get("MEM_LIMIT", "")
    return int(limit) if limit.isdigit() else 0


def room() -> int | None:
    """Return the bytes that a server has for files in tabs; None if it has no memory limit."""
    limit = memory_limit()
    return max(limit - SERVER, SMALL) if limit else None


def need_room(name: str, size: int, nodes: int) -> None:
    """Raise HTTPError if memory is not enough for a file with that many bytes, and cells and outputs (``nodes``)."""
    there = room()
    if there is None or size <= SMALL or size * TIMES + nodes * NODE <= there:
        return
    limit = memory_limit() // MEGABYTE
    raise HTTPError(
        413,
        f"{name} is too big for a tab: it has {size / MEGABYTE:.0f} MB, and your server has {limit} MB of memory, "
        "and a tab needs many times the size of the file. A notebook is big because of its outputs: in a terminal, "
        "jupyter nbconvert --clear-output --inplace NAME removes them. Read a big data file in pieces, by code.",
    )


def nodes_in(pieces: Iterable[bytes]) -> int:
    """Return how many cells and outputs are in a notebook's JSON; one across two pieces is not counted."""
    return sum(len(NODES.findall(piece)) for piece in pieces)


class ClassContents(AsyncLargeFileManager):
    """Jupyter's file manager, which refuses files that need more memory than the server has, and too big uploads."""

    uploads = Uploads()

    async def get(self, path: str, content: bool = True, **options: Any) -> Any:
        """Return a file or directory. Raises HTTPError (413) for the content of a file that is too big."""
        if content:
            self._need_room(Path(self._get_os_path(path.strip("/"))))
        return await super().get(path, content=content, **options)

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        """Save a file, or a piece of one. Raises HTTPError (413) for an upload that is too big."""
        self.uploads.check(model, Path(self._get_os_path(path.strip("/"))))
        return await super().save(model, path)

    @staticmethod
    def _need_room(at: Path) -> None:
        # If the file cannot be read, Jupyter itself says so.
        with contextlib.suppress(OSError):
            if not at.is_file() or (size := at.stat().st_size) <= SMALL:
                return
            nodes = 0
            if at.suffix == ".ipynb":
                with at.open("rb") as file:
                    nodes = nodes_in(iter(lambda: file.read(PIECE), b""))
            need_room(at.name, size, nodes)


def refuse_big_saves() -> None:
    """Check the size of a saved file before it is parsed."""
    prepare = ContentsHandler.prepare

    async def look_first(handler: ContentsHandler, *arguments: Any, **named: Any) -> None:
        body = handler.request.body
        need_room("What you save", len(body), nodes_in([body]))
        await prepare(handler, *arguments, **named)

    ContentsHandler.prepare = look_first


def children_go_first() -> None:
    """Make terminals, and everything else that this process forks, be killed before it at the memory limit."""
    os.register_at_fork(after_in_child=go_first)


def go_first() -> None:
    """Make Linux kill this process first at the memory limit. Anybody may raise the score; 1000 is the highest."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def spare_the_server(config: Any) -> None:
    """Add all of this to the server's configuration."""
    config.ServerApp.contents_manager_class = ClassContents
    refuse_big_saves()
    children_go_first()
