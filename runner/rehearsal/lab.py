"""What a browser asks for when it opens Lab, for who has no browser.

Chromium asked for 87 things in November 2026: the page, about forty pieces of Lab's own program, those of extensions,
and some thirty questions to the server. Names of pieces change with each release, so they are read from the page.
"""

from __future__ import annotations

import html
import json
import re

#: Pieces of Lab's program that Chromium loaded besides the first.
_PIECES = 40
_CONFIG = re.compile(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', re.DOTALL)
_SCRIPT = re.compile(r'<script[^>]* src="([^"]+)"')
#: In the program: the numbers of its pieces with what their names end in, and the one that has a name of its own.
_PIECE = re.compile(r'\b(\d+):"([0-9a-f]{16,20})"')
_NAMED = re.compile(r'\b(\d+):"(jlab_core)"')

#: Questions, in the order in which Chromium's Lab asked them; a server without one of the extensions answers 404.
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
#: What an open page asks for again and again, and after how many seconds.
AGAIN = {"api/metrics/v1": 10, "api/contents?content=1&hash=0": 10, "api/sessions": 10, "api/kernels": 10}


def first_programs(page: str) -> list[str]:
    """Paths of the programs that the page itself names, those of extensions included. Raises ValueError for no page."""
    found = _CONFIG.search(page)
    if not found:
        raise ValueError("the page is not Lab's")
    config = json.loads(html.unescape(found[1]))
    base = config["fullLabextensionsUrl"]
    extensions = [f"{base}/{one['name']}/{one['load']}" for one in config.get("federated_extensions", ())]
    return [html.unescape(one) for one in _SCRIPT.findall(page)] + extensions


def pieces(program: str, path: str) -> list[str]:
    """Paths of the pieces that Lab's program, which was at ``path``, goes on to load."""
    folder = path.rpartition("/")[0]
    ends, names = dict(_PIECE.findall(program)), dict(_NAMED.findall(program))
    chosen = [*names, *(number for number in ends if number not in names)][:_PIECES]
    return [f"{folder}/{names.get(one, one)}.{ends[one]}.js?v={ends[one]}" for one in chosen if one in ends]
