"""On a phone, open Notebook's view: Lab's page is made for big screens and shows no notebook on a small one."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jupyterlab_server.handlers import LabHandler

#: Addresses of Lab's pages.
_LAB = re.compile(r"^(?P<base>/.*?)lab(?:/tree(?P<path>/.*)?)?/?$")


def instead(address: str, headers: Mapping[str, str], base: str) -> str | None:
    """Return the Notebook page to which a phone is redirected from a page of Lab; None for no redirect.

    A person who chooses Lab in Notebook's menu gets Lab.
    """
    mobile = headers.get("Sec-CH-UA-Mobile") == "?1" or "Mobi" in headers.get("User-Agent", "")
    asked = urlsplit(address)
    found = _LAB.match(asked.path)
    if not mobile or not found or not asked.path.startswith(base):
        return None
    came_from = urlsplit(headers.get("Referer", ""))
    if came_from.path.startswith((f"{base}notebooks/", f"{base}tree", f"{base}edit/")):
        return None
    path = found["path"] or ""
    kind = "notebooks" if path.endswith(".ipynb") else "tree"
    query = f"?{asked.query}" if asked.query else ""
    return f"{base}{kind}{path}{query}"


def open_notebooks() -> None:
    """Redirect phones from pages of Lab to Notebook's."""
    page = LabHandler.get

    def get(handler: Any, *arguments: Any, **named: Any) -> Any:
        there = instead(handler.request.uri, handler.request.headers, handler.base_url)
        return handler.redirect(there) if there else page(handler, *arguments, **named)

    LabHandler.get = get
