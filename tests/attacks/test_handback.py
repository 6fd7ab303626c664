"""A student wants another's files after the term, which the hub serves to whoever knows their names."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from runner.agreed import HANDBACK, PATHS
from tests.support.attackers import Outside, Person
from tests.support.hub import Hub

ROOT = PATHS["handback"]


@pytest.fixture
def token(hub: Hub) -> Iterator[str]:
    """The name of a file that was handed back to somebody."""
    name = secrets.token_urlsafe(32)
    path = f"{ROOT}/{name}.zip"
    hub.run(f"echo of-alice > {path}; chgrp www-data {path}; chmod 0640 {path}; touch -d '+1 day' {path}")
    yield name
    hub.run(f"rm -f {path}")


def test_handback_names_are_listed_on_the_server(mallory: Person, token: str) -> None:
    """Tries: to list the directory of what is handed back, and to read a file in it.

    Stopped by: only root and nginx can enter the directory (formula nginx).
    """
    for code in (f"import os; print(os.listdir({ROOT!r}))", f"print(open('{ROOT}/{token}.zip').read())"):
        assert "PermissionError" in mallory.python(code)


def test_handback_names_are_found_by_requests(outside: Outside, mallory: Person, hub: Hub, token: str) -> None:
    """Tries: to get the list, a file without its whole name, or a file beside the directory.

    Stopped by: nginx lists nothing, and serves only files of this directory by their whole names (formula nginx).
    """
    for client in (outside.browser(), mallory.client):
        found = client.http.get(f"{client.base}{HANDBACK}{token}.zip", timeout=20)
        assert (found.status_code, found.text) == (200, "of-alice\n"), "whoever knows the name gets it"
        assert "sandbox" in found.headers["Content-Security-Policy"]
        assert found.headers["Content-Disposition"].startswith("attachment")
        for path in (
            "",
            f"{token[:-1]}.zip",
            f"{token}",
            "*.zip",
            f"%2e%2e/coursehub-handback/{token[:5]}",
            "?autoindex=on",
        ):
            assert client.http.get(f"{client.base}{HANDBACK}{path}", timeout=20).status_code in (403, 404), path
        for method in ("POST", "PUT", "DELETE"):
            answer = client.http.request(method, f"{client.base}{HANDBACK}{token}.zip", timeout=20)
            assert answer.status_code == 403, method
    assert hub.run(f"grep -r {token[:12]} /var/log/nginx || true") == "", "the name is in no log"
