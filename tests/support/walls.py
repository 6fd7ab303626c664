"""Requests as browsers send them, and whether the hub answers them."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from tests.support.hub_config import FILES

OWN = "https://hub.example.edu"


def module(name: str) -> ModuleType:
    """One of its modules that needs no JupyterHub."""
    full = f"class_walls_{name}"
    spec = importlib.util.spec_from_file_location(full, FILES / "class_walls" / f"{name}.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[full] = made
    spec.loader.exec_module(made)
    return made


metadata, passes, cookies, policy, leading = (
    module(name) for name in ("fetch_metadata", "passes", "cookies", "policy", "leading")
)


def asked(kind: str, site: str, mode: str, dest: str, method: str = "GET", origin: str = "") -> Any:
    return metadata.Asked(metadata.Kind[kind], method, site, mode, dest, origin, OWN)


ANSWERED = {
    "a click": asked("PAGE", "same-origin", "navigate", "document"),
    "an address that was typed": asked("PAGE", "none", "navigate", "document"),
    "a form of ours": asked("PAGE", "same-origin", "navigate", "document", "POST", OWN),
    "a link of another site": asked("PAGE", "cross-site", "navigate", "document"),
    "a link of a neighbouring host": asked("PAGE", "same-site", "navigate", "document"),
    "our page's fetch": asked("API", "same-origin", "cors", "empty"),
    "our page's change": asked("API", "same-origin", "same-origin", "empty", "POST", OWN),
    "a program": asked("API", "", "", "", "DELETE"),
    "a program that reads a page": asked("PAGE", "", "", ""),
    "an old browser's form of ours": asked("PAGE", "", "", "", "POST", OWN),
    "an LMS": asked("LAUNCH", "cross-site", "navigate", "document", "POST", "https://lms.example.edu"),
    "an LMS and an old browser": asked("LAUNCH", "", "", "", "POST", "https://lms.example.edu"),
}
REFUSED = {
    "a script that reads a page": asked("PAGE", "same-origin", "cors", "empty"),
    "a script that reads without CORS": asked("PAGE", "same-origin", "no-cors", "empty"),
    "a frame": asked("PAGE", "same-origin", "navigate", "iframe"),
    "an object": asked("PAGE", "same-origin", "navigate", "object"),
    "an image of a page": asked("PAGE", "same-origin", "no-cors", "image"),
    "a form of another site": asked("PAGE", "cross-site", "navigate", "document", "POST", "https://evil.example"),
    "a form of a neighbouring host": asked("PAGE", "same-site", "navigate", "document", "POST"),
    "another site's fetch": asked("PAGE", "cross-site", "no-cors", "empty"),
    "an API without CORS": asked("API", "same-origin", "no-cors", "empty"),
    "an API as an image": asked("API", "same-origin", "no-cors", "image"),
    "an API as a script": asked("API", "same-origin", "cors", "script"),
    "an API in a window": asked("API", "same-origin", "navigate", "document"),
    "an API from a link of another site": asked("API", "cross-site", "navigate", "document"),
    "an API from another site": asked("API", "cross-site", "cors", "empty"),
    "an API from a neighbouring host": asked("API", "same-site", "cors", "empty"),
    "an API by websocket": asked("API", "same-origin", "websocket", "websocket"),
    "an old browser's foreign form": asked("PAGE", "", "", "", "POST", "https://evil.example"),
    "an old browser's foreign change": asked("API", "", "", "", "DELETE", "null"),
    "the same over http": asked("PAGE", "", "", "", "POST", "http://hub.example.edu"),
    "a launch by a script": asked("LAUNCH", "same-origin", "cors", "empty", "POST", OWN),
}
