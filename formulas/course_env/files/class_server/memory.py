"""What would cost a person's whole server its memory: refused with a line, or done by a process that goes first."""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jupyter_server.services.contents.handlers import ContentsHandler
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

# Bytes. A file in a tab is in memory several times at once: as text, as objects, as JSON, as bytes to send. Measured on
# notebooks that were opened and then saved (docs/decisions/memory-limit.md): up to eight times what is on the disk, and
# 2.5 KB more for each cell and each output. The server alone has 120 MB.
TIMES, NODE, SERVER = 8, 3 << 10, 128 << 20
MEGABYTE = 1 << 20
# In a text that is the value of something the quotation marks have a backslash.
NODES = re.compile(rb'"(?:cell|output)_type":')
# What is smaller fits any server, however it is made up.
SMALL = 1 << 20
# Bytes that are looked through at once.
PIECE = 1 << 20


def room() -> int | None:
    """Return the bytes that a server has for files in tabs; None where it has no limit of memory."""
    limit = os.environ.get("MEM_LIMIT", "")
    return max(int(limit) - SERVER, SMALL) if limit.isdigit() and int(limit) else None


def need_room(name: str, size: int, nodes: int) -> None:
    """Raise HTTPError for a file of that many bytes, cells and outputs that memory is not enough for."""
    there = room()
    if there is None or size <= SMALL or size * TIMES + nodes * NODE <= there:
        return
    limit = int(os.environ["MEM_LIMIT"]) // MEGABYTE
    raise HTTPError(
        413,
        f"{name} is too big for a tab: it has {size / MEGABYTE:.0f} MB, and your server has {limit} MB of memory, "
        "which a tab needs many times over. A notebook is that big by its outputs: in a terminal, jupyter nbconvert "
        "--clear-output --inplace NAME takes them away. Read a big data file in pieces, by code.",
    )


def nodes_in(pieces: Iterable[bytes]) -> int:
    """Return how many cells and outputs a notebook has, by its JSON; one at the seam of two pieces is missed."""
    return sum(len(NODES.findall(piece)) for piece in pieces)


class ClassContents(AsyncLargeFileManager):
    """Jupyter's files, without those that cost the server its memory when they are opened."""

    async def get(self, path: str, content: bool = True, **options: Any) -> Any:
        """Return a file or directory. Raises HTTPError (413) for the content of a file that is too big."""
        if content:
            self._need_room(Path(self._get_os_path(path.strip("/"))))
        return await super().get(path, content=content, **options)

    @staticmethod
    def _need_room(at: Path) -> None:
        # Whoever may not read it hears so from Jupyter itself.
        with contextlib.suppress(OSError):
            if not at.is_file() or (size := at.stat().st_size) <= SMALL:
                return
            nodes = 0
            if at.suffix == ".ipynb":
                with at.open("rb") as file:
                    nodes = nodes_in(iter(lambda: file.read(PIECE), b""))
            need_room(at.name, size, nodes)


def refuse_big_saves() -> None:
    """Have what is saved refused before it is taken apart."""
    prepare = ContentsHandler.prepare

    async def look_first(handler: ContentsHandler, *arguments: Any, **named: Any) -> None:
        body = handler.request.body
        need_room("What you save", len(body), nodes_in([body]))
        await prepare(handler, *arguments, **named)

    ContentsHandler.prepare = look_first


def children_go_first() -> None:
    """Have terminals, and whatever else this process forks, end before it when memory ends."""
    os.register_at_fork(after_in_child=go_first)


def go_first() -> None:
    """Make this process the first that Linux ends when memory ends. It may be raised by anybody; 1000 is the most."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def spare_the_server(config: Any) -> None:
    """Join all of it to the server's configuration."""
    config.ServerApp.contents_manager_class = ClassContents
    refuse_big_saves()
    children_go_first()
