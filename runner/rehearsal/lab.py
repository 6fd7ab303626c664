"""The requests that a browser makes when it opens Lab.

Chromium made 87 requests in November 2026: the page, about forty scripts of Lab, those of extensions, and about thirty
requests to the server's API. The names of scripts change with each release, so they are read from the page.
"""

from __future__ import annotations

import html
import json
import re

#: Scripts of Lab that Chromium loaded after the main one.
_PIECES = 40
_CONFIG = re.compile(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', re.DOTALL)
_SCRIPT = re.compile(r'<script[^>]* src="([^"]+)"')
#: In the main script: the number of each further script with the end of its name, and the one that has its own name.
_PIECE = re.compile(r'\b(\d+):"([0-9a-f]{16,20})"')
_NAMED = re.compile(r'\b(\d+):"(jlab_core)"')

#: Requests to the API, in Chromium's order. A server without the extension in question answers 404.
QUESTIONS = (
    "api/kernelspecs",
    "api/me",
    "lab/api/settings",
    "api/kernels",
    "api/terminals",
    "api/sessions",
    "lab/api/workspaces",
    "api/me",
    "lab/api/translations/default",
    "api/metrics/v1",
    "api/kernelspecs",
    "api/config/jupyterlabapputilsextensionannouncements",
    "lab/api/build",
    "lsp/status",
    "lab/api/translations",
    "api/contents?content=1&hash=0",
    "lab/api/settings/@jupyterlab/docmanager-extension:plugin",
    "lab/api/settings/@jupyterlab/codemirror-extension:plugin",
    "lab/api/settings/@jupyterlab/notebook-extension:panel",
    "lab/api/themes/@jupyterlab/theme-light-extension/index.css",
    "api/metrics/v1",
    "lab/api/workspaces/default",
    "class/own",
    "lab/api/settings?ids_only=true",
    "api/contents?content=1&hash=0",
    "kernelspecs/python3/logo-svg.svg",
)
#: Requests that an open page repeats, with the interval in seconds.
AGAIN = {"api/metrics/v1": 10, "api/contents?content=1&hash=0": 10, "api/sessions": 10, "api/kernels": 10}


def first_programs(page: str) -> list[str]:
    """Paths of the scripts that the page names, including those of extensions. Raises ValueError if it is not Lab's."""
    found = _CONFIG.search(page)
    if not found:
        raise ValueError("the page is not Lab's")
    config = json.loads(html.unescape(found[1]))
    base = config["fullLabextensionsUrl"]
    extensions = [f"{base}/{one['name']}/{one['load']}" for one in config.get("federated_extensions", ())]
    return [html.unescape(one) for one in _SCRIPT.findall(page)] + extensions


def pieces(program: str, path: str) -> list[str]:
    """Paths of the scripts that Lab's main script loads next. ``path`` is the main script's own."""
    folder = path.rpartition("/")[0]
    ends, names = dict(_PIECE.findall(program)), dict(_NAMED.findall(program))
    chosen = [*names, *(number for number in ends if number not in names)][:_PIECES]
    return [f"{folder}/{names.get(one, one)}.{ends[one]}.js?v={ends[one]}" for one in chosen if one in ends]
