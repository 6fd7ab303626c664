"""Changes nbgitpuller for a class: only the course's repositories are pulled, and a student's work is never lost.

A Jupyter Server extension that replaces nbgitpuller's puller and pages by its own, whoever made the link.
"""

from typing import Any

#: The file with the course's repositories (``asked.course``), unless the server's configuration names another one.
COURSE = "/etc/jupyter/class_pull_course.json"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "class_pull"}]


def _link_jupyter_server_extension(app: Any) -> None:
    """Replace nbgitpuller's classes. All extensions are linked before the first is loaded, so any order works."""
    from nbgitpuller._compat import get_base_handler

    # Before nbgitpuller's handlers, which use it as their base class.
    get_base_handler(app)
    from nbgitpuller import handlers

    from class_pull.pages import PullPage, PullStream

    handlers.GitPuller = _puller
    handlers.UIHandler = PullPage
    handlers.SyncHandler = PullStream


def _puller(*given: Any, **options: Any) -> Any:
    """Import the puller only now: every server imports this module at its start, without stored bytecode."""
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
