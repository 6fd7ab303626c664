"""Which requests to the hub open another person's server, and what is logged: with the hub's own classes."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.hub_config import FILES

pytestmark = pytest.mark.unit

# A hub's database with two people, their servers' OAuth clients and a service; then answered requests, as the hub's log
# gets them. Prints what each one logs.
SCRIPT = """
import json, os, pwd, sys, types
sys.path.insert(0, sys.argv[1])
from jupyterhub import orm, roles
from jupyterhub.apihandlers.auth import OAuthAuthorizeHandler
from jupyterhub.apihandlers.users import SelfAPIHandler, UserServerAPIHandler
from jupyterhub.handlers.pages import HomeHandler, SpawnHandler
from jupyterhub.user import User
from class_inside.door import Peer
from class_openings import hub

def logged(handler):
    # A student may send long addresses; the log gets them cut.
    assert len(handler.request.uri) == hub.LONGEST
    assert len(handler._headers["Location"]) <= hub.LONGEST

hub.log_request = logged
db = orm.new_session_factory("sqlite://")()
users = {}
for name in ("okafor", "abello", pwd.getpwuid(os.getuid()).pw_name):
    made = orm.User(name=name)
    spawner = orm.Spawner(name="", user=made)
    spawner.oauth_client = orm.OAuthClient(identifier=f"jupyterhub-user-{name}")
    db.add_all([made, spawner])
    users[name] = User.__new__(User)
    users[name].__dict__["orm_user"] = made
    User.name = property(lambda self: self.orm_user.name)
db.add(orm.OAuthClient(identifier="service-students-work"))
db.commit()

hub.FIRST_UID = 0

def request(kind, person="okafor", status=200, method="GET", args=(), location="", client_id="", token=None, scopes=(),
            address=Peer(os.getuid())):
    handler = kind.__new__(kind)
    class Answered(kind):
        current_user = users.get(person)
        db = globals()["db"]
        def __init__(self): pass
        def get_status(self): return status
        def get_token(self): return token and types.SimpleNamespace(client_id=token)
        def get_query_argument(self, name, default=""): return client_id
    made = Answered()
    made.path_args = list(args)
    made._headers = {"Location": location}
    made.expanded_scopes = set(scopes)
    made.request = types.SimpleNamespace(
        method=method, uri="/hub/" + "x" * 9000,
        connection=types.SimpleNamespace(context=types.SimpleNamespace(address=address)))
    return made

CODE, NO_CODE = "/user/abello/oauth_callback?code=abc&state=x", "/user/abello/oauth_callback?error=access_denied"
OPENS = "jupyterhub-user-abello"
TEACHER = {"access:servers!group=students", "access:servers!user=okafor"}
me = pwd.getpwuid(os.getuid()).pw_name
requests = {
    "opened": request(OAuthAuthorizeHandler, status=302, location=CODE, client_id=OPENS),
    "own": request(OAuthAuthorizeHandler, "abello", status=302, location=CODE, client_id=OPENS),
    "refused": request(OAuthAuthorizeHandler, status=403, client_id=OPENS),
    "asked first": request(OAuthAuthorizeHandler, client_id=OPENS),
    "denied": request(OAuthAuthorizeHandler, status=302, location=NO_CODE, client_id=OPENS),
    "service": request(OAuthAuthorizeHandler, status=302, location=CODE, client_id="service-students-work"),
    "unknown client": request(OAuthAuthorizeHandler, status=302, location=CODE, client_id="jupyterhub-user-nobody"),
    "nobody": request(OAuthAuthorizeHandler, None, status=302, location=CODE, client_id=OPENS),
    "used": request(SelfAPIHandler, token=OPENS, scopes={"access:servers!server=abello/"}),
    "own token": request(SelfAPIHandler, "abello", token=OPENS),
    "by cookie": request(SelfAPIHandler, scopes=TEACHER),
    "made by hand": request(SelfAPIHandler, token="jupyterhub", scopes=TEACHER),
    "student's by hand": request(SelfAPIHandler, "abello", token="jupyterhub", scopes={"access:servers!user=abello"}),
    "from nowhere": request(SelfAPIHandler, token="jupyterhub", scopes=TEACHER, address=""),
    "from nobody": request(SelfAPIHandler, token="jupyterhub", scopes=TEACHER, address=Peer(4_000_000)),
    "started": request(UserServerAPIHandler, method="POST", status=201, args=["abello"]),
    "stopped": request(UserServerAPIHandler, method="DELETE", status=204, args=["abello", ""]),
    "not started": request(UserServerAPIHandler, method="POST", status=403, args=["abello"]),
    "own start": request(UserServerAPIHandler, "abello", method="POST", status=201, args=["abello"]),
    "looked at": request(UserServerAPIHandler, args=["abello"]),
    "spawned": request(SpawnHandler, status=302, args=["abello"], location="/hub/spawn-pending/abello"),
    "runs already": request(SpawnHandler, status=302, args=["abello"], location="/user/abello/"),
    "own spawn": request(SpawnHandler, status=302, location="/hub/spawn-pending/okafor"),
    "home": request(HomeHandler),
}
found = {name: hub.opening(handler) for name, handler in requests.items()}

noted = []
log = hub.HubLog(lambda *opening: noted.append(opening[2]))
clock = [0.0]
hub.time.monotonic = lambda: clock[0]
visits = [(0, "opened"), (1, "used"), (3000, "used"), (3000, "used"), (3601, "used")]
for wait, name in [*visits, (1, "opened"), (1, "stopped"), (1, "stopped")]:
    clock[0] += wait
    log(requests[name])
def fails(*_): raise OSError("the disk is full")
hub.HubLog(fails)(requests["opened"])
print(json.dumps({"found": found, "noted": noted, "me": me}))
"""


@pytest.fixture(scope="module")
def said(hub_python: str) -> dict[str, Any]:
    done = subprocess.run([hub_python, "-B", "-c", SCRIPT, str(FILES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    # A failed log entry is reported, and the request is answered nevertheless.
    assert "could not be logged: the disk is full" in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        ("opened", "server opened"),
        ("used", "server used"),
        ("started", "server started"),
        ("stopped", "server stopped"),
        ("spawned", "server started"),
    ],
)
def test_what_opens_anothers_server(said: dict[str, Any], request_: str, what: str) -> None:
    assert said["found"][request_] == ["okafor", "abello", what]


def test_a_token_made_by_hand_is_logged_by_whose_process_asks(said: dict[str, Any]) -> None:
    assert said["found"]["made by hand"] == ["okafor", said["me"], "server used"]


@pytest.mark.parametrize(
    "request_",
    [
        *("own", "refused", "asked first", "denied", "service", "unknown client", "nobody", "own token", "by cookie"),
        *(
            "student's by hand",
            "from nowhere",
            "from nobody",
            "not started",
            "own start",
            "looked at",
            "runs already",
            "own spawn",
            "home",
        ),
    ],
)
def test_what_opens_nobody_elses(said: dict[str, Any], request_: str) -> None:
    assert said["found"][request_] is None


def test_one_visit_is_logged_once(said: dict[str, Any]) -> None:
    """A server asks about its visitor every half minute; after an hour without requests it is a new visit."""
    assert said["noted"] == ["server opened", "server used", "server opened", "server stopped", "server stopped"]
