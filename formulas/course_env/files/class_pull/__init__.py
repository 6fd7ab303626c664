"""What nbgitpuller does in this class: who changed a file that the course changed too keeps it, and is told.

A Jupyter Server extension that puts its own puller and page in the place of nbgitpuller's, whoever made the link.
"""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "class_pull"}]


def _link_jupyter_server_extension(app: Any) -> None:
    """All extensions are linked before the first is loaded, so nbgitpuller loads our classes whatever the order is."""
    from nbgitpuller._compat import get_base_handler

    # Before nbgitpuller's handlers, which take their base from it.
    get_base_handler(app)
    from nbgitpuller import handlers

    from class_pull.pages import PullPage

    handlers.GitPuller = _puller
    handlers.UIHandler = PullPage


def _puller(*given: Any, **options: Any) -> Any:
    """Each student's server starts with this module, and students cannot keep its bytecode: most of it waits."""
    from class_pull.puller import ClassPuller

    return ClassPuller(*given, **options)


def _load_jupyter_server_extension(app: Any) -> None:
    from jupyter_server.utils import url_path_join

    from class_pull.pages import ToldPage

    address = url_path_join(app.web_app.settings["base_url"], "git-pull/then/([^/]+)/(.*)")
    app.web_app.add_handlers(".*", [(address, ToldPage)])
