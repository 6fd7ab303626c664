"""Additions to JupyterLab for a student of the course: a server extension; ../labextension is its page part."""

from typing import Any

from class_server.phone import open_notebooks
from class_server.starting import came_up
from jupyter_server.utils import url_path_join

from class_lab.disk import DiskSpace
from class_lab.idle import Idle
from class_lab.memory import watch
from class_lab.newer import NewerPackages
from class_lab.own import OwnPackages
from class_lab.versions import Versions


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "class_lab"}]


def _load_jupyter_server_extension(server: Any) -> None:
    base = server.web_app.settings["base_url"]
    handlers = [
        (url_path_join(base, "class", "own"), OwnPackages),
        (url_path_join(base, "class", "disk"), DiskSpace),
        (url_path_join(base, "class", "idle"), Idle),
        (url_path_join(base, "class", "packages"), NewerPackages),
        (url_path_join(base, "class", "versions"), Versions),
    ]
    server.web_app.add_handlers(".*$", handlers)
    watch(server)
    open_notebooks()
    # The loop binds the socket first.
    server.io_loop.call_later(1, came_up)
