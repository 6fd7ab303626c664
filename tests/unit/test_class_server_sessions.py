"""How often a student's server asks the hub whether a session is still good, with JupyterHub's own client."""

from __future__ import annotations

import pytest

from tests.support.course_modules import inside

pytestmark = pytest.mark.unit

#: A hub that answers slowly, and 18 connections (six tabs) of one session and one of another, which ask three times.
#: "stranger" may not come in.
SCRIPT = """
import asyncio
from types import SimpleNamespace
from collections import Counter
from jupyterhub.services.auth import HubAuth
from tornado.netutil import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler
from class_server.sessions import Sessions

asked, broken = Counter(), []

class User(RequestHandler):
    async def get(self):
        token = self.request.headers["Authorization"].split()[-1]
        asked[token] += 1
        await asyncio.sleep(0.3)
        if broken:
            raise HTTPError(503)
        self.write({"name": "ada", "scopes": [] if token == "stranger" else ["access:servers!user=ada"]})

def handler(token):
    headers = {"Authorization": f"token {token}"}
    return SimpleNamespace(get_argument=lambda *_: "", request=SimpleNamespace(headers=headers), settings={})

async def main():
    listening = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/hub/api/user", User)])).add_sockets(listening)
    hub = HubAuth(api_url=f"http://127.0.0.1:{listening[0].getsockname()[1]}/hub/api", api_token="server",
                  access_scopes={"access:servers!user=ada"})
    sessions = Sessions("ada")
    sessions.EVERY = 0.2
    found = set()
    for _ in range(3):
        everybody = [handler("tabs") for _ in range(18)] + [handler("stranger")]
        answers = await asyncio.gather(*(sessions.may_stay(hub, one) for one in everybody))
        found.add((all(answers[:18]), answers[18]))
        await asyncio.sleep(0.25)
    kept = len(sessions._asked)
    gone = asyncio.ensure_future(sessions.may_stay(hub, handler("tabs")))
    stays = asyncio.ensure_future(sessions.may_stay(hub, handler("tabs")))
    await asyncio.sleep(0.1)
    gone.cancel()
    after_one_left = await stays
    await asyncio.sleep(0.25)
    broken.append(True)
    failed = await asyncio.gather(*(sessions.may_stay(hub, handler("tabs")) for _ in range(3)), return_exceptions=True)
    print(json.dumps([asked, sorted(found), kept, after_one_left, [type(one).__name__ for one in failed],
                      len(sessions._asking)]))

asyncio.run(main())
"""


def test_all_tabs_of_a_session_ask_the_hub_once(course_python: str) -> None:
    asked, found, kept, after_one_left, failed, asking = inside(course_python, SCRIPT)
    assert found == [[True, False]]
    # Three rounds, one more while a tab closes, and one that the hub answers with an error.
    assert asked == {"tabs": 5, "stranger": 3}
    assert kept <= 2
    assert after_one_left is True
    assert failed == ["HTTPError"] * 3
    assert asking == 0
