"""The hub's pages, rendered by the JupyterHub of the hub's lock."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.hub_config import FILES

RENDER = """
import asyncio, json, sys
from pathlib import Path
from types import SimpleNamespace
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH
sys.path.insert(0, sys.argv[1])
from class_walls.policy import Nonces
own = str(Path(DATA_FILES_PATH) / "templates")
loader = ChoiceLoader([PrefixLoader({"templates": FileSystemLoader([own])}, "/"),
                       FileSystemLoader([sys.argv[1] + "/templates", own])])
environment = Environment(loader=loader, autoescape=True, enable_async=True, extensions=[Nonces])
words = dict(static_url=lambda path, **_: "/hub/static/" + path, base_url="/hub/", user=None, xsrf="x",
             login_url="/hub/login", logout_url="/hub/logout", parsed_scopes={}, csp_nonce="n0nce", page={},
             progress_url="/hub/api/users/ada/server/progress", spawn_url="/hub/spawn/ada", server_name="")
told = {"why_stopped": lambda _: "", **json.loads(sys.argv[3])}
if "exception" in told:
    told["exception"] = SimpleNamespace(**told["exception"])
print(asyncio.run(environment.get_template(sys.argv[2]).render_async(**words, **told)))
"""


@pytest.fixture(scope="module")
def page(hub_python: str) -> Any:
    def render(template: str, **told: Any) -> str:
        done = subprocess.run(
            [hub_python, "-B", "-c", RENDER, str(FILES), template, json.dumps(told)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return render
