"""A student gives their server options, or reads much, so that others' servers, a teacher's page or the log suffer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
import requests

from runner.hub.client import HubClient
from tests.support.attackers import Person
from tests.support.hub import Hub

MIB = 1 << 20
#: What `coursehub status` would read as somebody's failed start.
FORGED = "the server of {} did not start: FORGED; 'journalctl"


def ask(client: HubClient, method: str, path: str, data: str = "") -> requests.Response:
    """A request with a session's own XSRF token, as the hub's pages send them."""
    client.get("/hub/home")
    headers = {"X-XSRFToken": client._xsrf("/hub/"), "Referer": f"{client.base}/hub/home"}
    return client.http.request(
        method, client.base + path, data=data, headers=headers, timeout=60, allow_redirects=False
    )


def strict(text: str) -> Any:
    """A JSON document as browsers read it: they know no NaN."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    "options",
    [
        '{"attack": NaN}',
        '{"before_class": 1' + 400 * "0" + "}",
        '{"user_options": {"attack": "' + 500_000 * "x" + '"}}',
    ],
    ids=["nan", "huge-number", "long"],
)
def test_options_of_a_server(mallory: Person, professor: Person, method: str, options: str) -> None:
    """Tries: to break the Admin page with what no browser reads, and to stop the search for unused servers.

    Stopped by: people's servers have no options (class_walls/hub.py); a start before a class is known by a float.
    """
    mallory.stop()
    body = options if method == "POST" or "user_options" in options else f'{{"user_options": {options}}}'
    assert ask(mallory.client, method, f"/hub/api/users/{mallory.account}/server", body).status_code in (400, 405)
    listed = ask(professor.client, "GET", "/hub/api/users?include_stopped_servers&limit=100")
    people = {one["name"]: one for one in strict(listed.text)}
    assert not any(server.get("user_options") for server in people[mallory.account]["servers"].values())


def test_a_students_words_in_the_hubs_log(mallory: Person, hub: Hub) -> None:
    """Tries: to begin a line of the hub's log, so that a teacher reads that nobody's server starts.

    Stopped by: the log has one line for each message (class_inside/one_line.py), and servers have no options.
    """
    mallory.serve()
    words = f"x\n{FORGED.format('ada')}"
    name, own = quote(words), f"/hub/api/users/{mallory.account}"
    for method, path, body in (
        ("POST", f"{own}/activity", json.dumps({"servers": {words: {"last_activity": "2026-11-30T09:00:00Z"}}})),
        ("GET", f"/hub/api/users/{name}", ""),
        ("GET", f"/hub/spawn-pending/{mallory.account}/{name}", ""),
        ("GET", f"/hub/spawn?{name}=1", ""),
        ("POST", "/hub/security/csp-report", words),
        ("POST", f"{own}/server", json.dumps({words: 1})),
    ):
        ask(mallory.client, method, path, body)
    lines = hub.run("journalctl --since=-60s -o cat --no-pager -u jupyterhub").splitlines()
    assert [line for line in lines if "FORGED" in line], "nothing of it was logged, so nothing was tried"
    assert not [line for line in lines if line.lstrip().startswith("the server of ada")]


def test_read_files_take_no_room_from_others(mallory: Person, hub: Hub) -> None:
    """Tries: to use up the class's memory with files that were read twice, which stay in memory after their reader.

    Stopped by: memory of files that no program has mapped counts as free (class_inside/turns.py).
    """
    used = (
        "cd /opt/jupyterhub/lib && PYTHONDONTWRITEBYTECODE=1 /opt/jupyterhub/hub/current/bin/python -c '"
        "from class_inside.turns import ClassMemory; from class_inside.places import Places; "
        'print(ClassMemory(1, Places().servers, "class.slice")._used())\''
    )
    mallory.serve()
    if (before := hub.run(used).strip()) == "None":
        pytest.skip("the class's memory has no limit here")
    read = "head -c 300M /dev/urandom > attack-read; sync attack-read; for n in 1 2 3; do cat attack-read; done | wc -c"
    try:
        assert mallory.shell(read).text == str(900 * MIB)
        # Her ready kernel may start meanwhile, with 90 MB.
        assert int(hub.run(used)) - int(before) < 200 * MIB
    finally:
        mallory.shell("rm -f attack-read")
