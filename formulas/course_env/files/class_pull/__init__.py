"""What nbgitpuller does in this class: the course's repositories alone, and nothing of a student's is ever lost.

A Jupyter Server extension that puts its own puller and pages in the place of nbgitpuller's, whoever made the link.
"""

from typing import Any

#: What the course gives out (``asked.course``), where the server's configuration names no other file.
COURSE = "/etc/jupyter/class_pull_course.json"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "class_pull"}]


def _link_jupyter_server_extension(app: Any) -> None:
    """All extensions are linked before the first is loaded, so nbgitpuller loads our classes whatever the order is."""
    from nbgitpuller._compat import get_base_handler

    # Before nbgitpuller's handlers, which take their base from it.
    get_base_handler(app)
    from nbgitpuller import handlers

    from class_pull.pages import PullPage, PullStream

    handlers.GitPuller = _puller
    handlers.UIHandler = PullPage
    handlers.SyncHandler = PullStream


def _puller(*given: Any, **options: Any) -> Any:
    """Each student's server starts with this module, and students cannot keep its bytecode: most of it waits."""
    from class_pull.puller import ClassPuller

    return ClassPuller(*given, **options)


def _load_jupyter_server_extension(app: Any) -> None:
    from jupyter_server.utils import url_path_join
    from tornado.web import StaticFileHandler

    from class_pull.pages import HERE, ToldPage

    app.web_app.settings["class_pull_course"] = app.config.get("ClassPull", {}).get("course", COURSE)
    base = url_path_join(app.web_app.settings["base_url"], "git-pull")
    handlers = [
        (url_path_join(base, "then/([^/]+)/(.*)"), ToldPage),
        (url_path_join(base, r"page/(pull\.js)"), StaticFileHandler, {"path": str(HERE)}),
    ]
    app.web_app.add_handlers(".*", handlers)
