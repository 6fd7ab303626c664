"""Texts on the hub's pages: title, message of the day, help, logo. They are read at each request: no restart."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def page_from(path: str) -> Callable[[Any], dict[str, str]]:
    """Return a function that JupyterHub calls for each page that it renders (``JupyterHub.template_vars``).

    If the file is missing or broken, the texts are empty, but the page works: students must be able to sign in.
    """

    def page(_user: Any) -> dict[str, str]:
        try:
            said = json.loads(Path(path).read_text(encoding="utf-8"))
            words = {name: str(said.get(name) or "").strip() for name in ("title", "message", "help", "logo")}
        except (OSError, ValueError, AttributeError) as problem:
            log.warning("%s cannot be read: %s", path, problem)
            words = dict.fromkeys(("title", "message", "help", "logo"), "")
        return {**words, "help_link": link_of(words["help"])}

    return page


def link_of(text: str) -> str:
    """Return the link of a help contact; empty for plain text."""
    if text.startswith("https://") and not set(text) & set(" \"'<>"):
        return text
    if text.count("@") == 1 and not set(text) & set(" \"'<>?&:/"):
        return f"mailto:{text}"
    return ""
