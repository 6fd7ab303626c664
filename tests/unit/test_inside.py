"""The check of a server from inside, in words for a teacher."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from runner.errors import CoursehubError
from runner.hub import inside
from runner.project import Project
from runner.servers.claim import claim, holder
from tests.support.hub_config import FILES

pytestmark = pytest.mark.unit

WELL = "disk k / 30 70000000\ndisk i / 4 1000000\n"


def server(look: str, homes: str = "/home/ada 4000\n/home/bob 3\n", provider: str = "") -> Callable[[str], str]:
    def run(script: str) -> str:
        if "try_secret" in script:
            return provider
        return homes if "du -s" in script else look

    return run


def bad(look: str) -> dict[str, str]:
    return {one.name: one.detail for one in inside.look(server(look)) if not one.ok}


def test_server_that_is_well() -> None:
    assert bad(WELL + "started ada\n") == {}


@pytest.mark.parametrize(
    ("said", "name", "says"),
    [
        ("disk k /srv 97 900000\n", "disk", "/srv is 97 % full, 878 MB are left; most is in the homes of ada 4000 MB"),
        ("disk k /home 50 400000\n", "disk", "/home is 50 % full, 390 MB are left"),
        ("disk i / 99 3\n", "disk", "/ has no room for more files"),
        ("dead nginx\n", "units", "nginx failed on the server; 'coursehub apply COURSE' starts it"),
        (
            "dead ssh\nfailed nginx.service\n",
            "units",
            "nginx, ssh failed on the server; 'coursehub apply COURSE' starts them",
        ),
        ("lost ada\nlost bob\nlost ada\n", "starts", "the last starts all failed, of 2 people in 15 minutes"),
        ("started carl\nlost ada\nlost bob\n", "starts", "the last starts all failed, of 2 people in 15 minutes"),
        (
            "lost ada\nlost bob No programs\nlost carl No programs\n",
            "starts",
            "15 minutes: No programs; 'coursehub logs COURSE bob'",
        ),
        (
            'room {"total":1000,"free":500,"short":[{"name":"ada","used":99,"limit":100},'
            '{"name":"bob","used":81,"limit":100}]}\n',
            "disk space",
            "disk full for ada 99 % of their limit; nobody else is affected",
        ),
        (
            'room {"total":104857600,"free":5242880,"short":[{"name":"ada","used":90,"limit":100}]}\n',
            "disk space",
            "the class's disk is full: 5 MB of 100 MB are free",
        ),
        (
            "failed coursehub-warm-kernel.service\nwarm kernel the module nltk uses random bytes\n",
            "fast starts",
            "each kernel starts slowly, because there is no image: the module nltk uses random bytes; everybody",
        ),
        ("material failed lab1: Permission denied\n", "material", "lab1: Permission denied"),
        (
            "material inactive\nunread labs: https://x/y is no repository that this server may read; correct it\n",
            "material",
            "labs: https://x/y is no repository that this server may read; correct it",
        ),
        ("material inactive\nunread one: a\nunread two: b\n", "material", "one: a (and 1 more)"),
    ],
)
def test_server_that_is_not_well(said: str, name: str, says: str) -> None:
    found = bad(WELL + said)
    assert list(found) == [name]
    assert says in found[name]


def test_full_disk_with_small_homes_blames_nobody() -> None:
    (disk,) = (one for one in inside.look(server("disk k / 100 0\n", "/home/ada 1\n/home/bob 1\n")) if not one.ok)
    assert disk.detail == (
        "/ is 100 % full, 0 MB are left; homes are small; 'coursehub ssh COURSE du -xm -d2 / | sort -n | tail' shows "
        "what fills it"
    )


@pytest.mark.parametrize(
    "said",
    [
        "lost ada\nlost ada\n",
        "lost ada\nlost bob\nstarted carl\n",
        "material inactive\n",
        "room none /home has homes already\n",
        'room {"total":1000,"free":500,"short":[{"name":"ada","used":85,"limit":100}]}\n',
    ],
)
def test_one_person_is_not_everybody(said: str) -> None:
    assert bad(WELL + said) == {}


@pytest.mark.parametrize(
    ("verdict", "ok", "says"),
    [
        ("ok it accepts the hub\n", True, "it accepts the hub"),
        ("refused it does not accept it\n", False, "'coursehub secrets set demo oauth-client-secret'"),
        ("silent TimeoutError\n", False, "TimeoutError; nobody new gets in until it answers"),
        ("odd what\n", False, "'coursehub signin demo' shows the form"),
        ("", False, "'coursehub signin demo' shows the form"),
    ],
)
def test_provider_failure_says_what_fixes_it(verdict: str, ok: bool, says: str) -> None:
    found = inside.look_at_provider(server("", provider=verdict), "demo", "demo.sls:7")
    assert found.ok is ok
    assert says in found.detail


JUDGE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from class_signin.try_secret import judge
print(json.dumps([judge(*one) for one in json.loads(sys.argv[2])]))
"""


def test_answers_to_a_made_up_code_are_judged(hub_python: str) -> None:
    """As Google, GitHub (with status 200), Microsoft and oidc-provider answer."""
    answers: list[Any] = [
        [401, '{"error": "invalid_client", "error_description": "The OAuth client was not found."}'],
        [200, '{"error": "incorrect_client_credentials"}'],
        [401, '{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}'],
        [400, '{"error": "invalid_grant", "error_description": "Malformed auth code."}'],
        [200, '{"error": "bad_verification_code"}'],
        [400, '{"error": "unauthorized_client"}'],
        [503, "<html>away</html>"],
        [404, "<html>nothing here</html>"],
    ]
    done = subprocess.run(
        [hub_python, "-B", "-c", JUDGE, str(FILES), json.dumps(answers)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    verdicts = [verdict for verdict, _ in json.loads(done.stdout)]
    assert verdicts == ["refused", "refused", "refused", "ok", "ok", "refused", "silent", "odd"]


ASK = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from class_signin.oauth import ClassGitHub
from class_signin.try_secret import ask
sent = []
class Token(RequestHandler):
    def post(self):
        sent.append({name: self.get_argument(name) for name in ("client_secret", "code", "redirect_uri")})
        self.set_status(400 if sent[-1]["client_secret"] == "right" else 401)
        self.write({"error": "invalid_grant" if sent[-1]["client_secret"] == "right" else "invalid_client"})
async def main():
    socket, port = bind_unused_port()
    server = HTTPServer(Application([("/token", Token)]))
    server.add_socket(socket)
    found = []
    for secret in ("right", "wrong"):
        provider = ClassGitHub(token_url=f"http://127.0.0.1:{port}/token", client_id="c", client_secret=secret,
                               oauth_callback_url="https://hub/hub/oauth_callback")
        found.append((await ask(provider))[0])
    server.stop()
    await server.close_all_connections()
    found.append((await ask(provider))[0])
    print(json.dumps([found, sent]))
asyncio.run(main())
"""


def test_provider_is_asked_as_the_hub_asks(hub_python: str) -> None:
    done = subprocess.run(
        [hub_python, "-B", "-c", ASK, str(FILES)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found, sent = json.loads(done.stdout.splitlines()[-1])
    assert found == ["ok", "refused", "silent"]
    assert sent[0] == {
        "client_secret": "right",
        "code": "made-up-by-coursehub-check",
        "redirect_uri": "https://hub/hub/oauth_callback",
    }


def test_holder_is_known_while_a_verb_runs(project: Project) -> None:
    assert holder(project, "phys") is None
    with claim(project, "phys", "up"):
        assert "runs 'up' on it" in (holder(project, "phys") or "")
        with pytest.raises(CoursehubError, match="runs 'up' on it"), claim(project, "phys", "apply"):
            pass
    assert holder(project, "phys") is None


def test_starts_are_read_of_the_hubs_own_lines() -> None:
    """A student may have any text quoted in a line of the hub's log (tests/attacks/test_options.py)."""
    false = "the server of bob did not start: x; 'journalctl"
    at = "2026-11-30 01:14:05.179 ClassHub"
    log = [
        f"[I {at} base:1193] User ada took 3.402 seconds to start",
        f"[E {at} user:1065] Not starting carl's server : 500 NotStarted(reason=not-started): the server of carl did "
        "not start: No home; 'journalctl -u jupyter-carl' says why",
        f"[W {at} web:2106] 400 POST /hub/api/users/eve/activity (10.0.0.1): No such server {false}",
        f"[W {at} base:2102] Content security violation: [E x user:1] Not starting x: 500 y: {false}",
        f"    [E {at} user:1060] Not starting x: 500 y: {false}",
        f"[W {at} base:2102] Content security violation: User eve took 1 seconds to start",
    ]
    done = subprocess.run(
        ["bash", "-c", inside.STARTS], input="\n".join(log), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["started ada", "lost carl  No home"]
