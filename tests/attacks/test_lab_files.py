"""Lab's own scripts, which nginx reads from the server's disk for everybody."""

from __future__ import annotations

import re

import pytest

from tests.support.attackers import Outside, Person, statuses
from tests.support.hub import Hub
from tests.support.visiting import visits

#: What the location takes for the hash of a script's content.
HASH = "0123456789abcdef"
#: Ways out of the directory, as a request line may write them.
WAYS = ("..", "%2e%2e", "..%2f..", "..%5c..", ".%2e", "....//..", "%252e%252e")


def place(person: Person) -> tuple[str, str]:
    """The host name and the path of a person's server."""
    origin = person.client.origin(f"/user/{person.account}/")
    return origin.removeprefix("https://"), f"/user/{person.account}/"


@pytest.mark.parametrize("way", WAYS)
def test_scripts_location_leads_out_of_its_directory(hub: Hub, outside: Outside, mallory: Person, way: str) -> None:
    """Tries: to read a file beside Lab's scripts, by a path that leaves their directory.

    Stopped by: the location takes names with a hash only, without a dot segment in their path (formula nginx).
    """
    name = f"secret.{HASH}.js"
    hub.run(f"echo 'the secret' > /opt/course/env/share/{name}")
    host, base = place(mallory)

    def ask(path: str) -> bytes:
        return outside.send(f"GET {base}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    try:
        if visits(hub):
            # The same request for what is there; with one domain it would need the owner's pass.
            main = hub.run("cd /opt/course/env/share/jupyter/lab/static && ls main.*.js").strip()
            assert statuses(ask(f"static/lab/{main}")) == [200]
        for path in (f"static/lab/{way}/{name}", f"static/lab/{way}/{way}/{name}", f"lab/extensions/{way}/{name}"):
            answer = ask(path)
            assert b"the secret" not in answer
            assert [one for one in statuses(answer) if one < 300] == []
    finally:
        hub.run(f"rm /opt/course/env/share/{name}")


def test_own_script_takes_the_place_of_labs(mallory: Person, alice: Person) -> None:
    """Tries: to put a script of one's own where nginx reads those of everybody.

    Stopped by: the directories are root's, and read-only in a person's unit (formulas course_env, jupyterhub).
    """
    page = alice.serve().get(f"/user/{alice.account}/lab").text
    found = re.search(r"static/lab/(main\.[0-9a-f]+\.js)", page)
    assert found
    target = f"/opt/course/env/share/jupyter/lab/static/{found[1]}"
    for change in (f"open({target!r}, 'a')", f"open({target + '.gz'!r}, 'wb')", f"__import__('os').unlink({target!r})"):
        assert re.search("PermissionError|Read-only file system", mallory.python(change))
