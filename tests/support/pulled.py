"""A click on a link to course material, followed as nbgitpuller's page in a browser does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote, unquote, urlencode

import requests


def click(get: Callable[..., requests.Response], path: str) -> requests.Response:
    """Pull; return where the page sends the browser, without following redirects from there."""
    return get(pull(get, path), allow_redirects=False, timeout=60)


def pull(get: Callable[..., requests.Response], path: str) -> str:
    """Open the page at ``path`` and follow the pull to its end; return where the page sends the browser.

    ``get`` takes a path on the server, like ``HubClient.get``.
    """
    page = get(path, timeout=60)
    assert page.status_code == 200, (page.status_code, page.url, page.text[-1000:])
    data = {key: unquote(value) for key, value in re.findall(r'data-(\S+?)="([^"]*)"', page.text)}
    asked = {key: data[key] for key in ("repo", "targetpath", "branch")}
    events = get(
        f"{data['base-url']}git-pull/api?{urlencode({**asked, '_xsrf': data['xsrf']}, quote_via=quote)}",
        headers={"Accept": "text/event-stream", "Referer": page.url},
        # A pull that waits for another one sends a line each second.
        timeout=60,
    )
    said = [json.loads(line[6:]) for line in events.text.splitlines() if line.startswith("data: ")]
    assert said, (events.status_code, events.text[-1000:])
    assert said[-1]["phase"] == "finished", said
    return data["base-url"] + data["path"]
