"""Names of servers and the hub's session cookie, with the JupyterHub of the hub's lock."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runner.course.hostnames import server_label, service_label
from runner.local import below
from runner.local.identity import Identity
from runner.local.store import Domain, Record
from tests.support.hub_config import FILES, render

pytestmark = pytest.mark.unit

#: Accounts that the course file allows, with all characters that DNS does not.
ACCOUNTS = [
    "curie", "a", "x1", "mc-donald", "van_dyke", "_under", "trailing-", "two--dashes", "a" * 32, "u-x--1234567",
    "xn--a", "y_", "z-9", "students-work", "students-work--service", "____",
]  # fmt: skip

LABELS = """
import json, sys
from jupyterhub.utils import subdomain_hook_idna
names, service = json.loads(sys.argv[1])
print(json.dumps([[subdomain_hook_idna(one, "x", "user").removesuffix(".x") for one in names],
                  subdomain_hook_idna(service, "x", "service").removesuffix(".x")]))
"""

COOKIES = """
import json, sys
sys.path.insert(0, sys.argv[1])
from class_walls import subdomains
from jupyterhub.handlers import base
subdomains.keep_the_session(base)
import logging
from types import SimpleNamespace
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application
class Connection:
    def set_close_callback(self, _): pass
    no_keep_alive = False
hub = SimpleNamespace(cookie_name="__Host-jupyterhub-hub-login", base_url="/hub/")
def page(cookie=""):
    request = HTTPServerRequest("GET", "/hub/home", host="hub.example.org", headers=HTTPHeaders({"Cookie": cookie}),
                                connection=Connection())
    request.protocol = "https"
    application = Application(cookie_secret=b"0" * 32, subdomain_host="https://hub.example.org",
                              domain="hub.example.org", base_url="/", log=logging.getLogger(), hub=hub)
    return base.BaseHandler(application, request)
def set_by(handler):
    return sorted(one.OutputString() for one in handler._new_cookie.values())
new = page()
session = new.set_session_cookie()
mine = f"{subdomains.HUB_SESSION}={session}"
planted = f"jupyterhub-session-id=planted; {mine}; jupyterhub-session-id=planted-too"
gone = page(mine)
gone.get_current_user_cookie = lambda: None
gone.clear_login_cookie()
print(json.dumps({"session": session, "set": set_by(new), "read": page(planted).get_session_cookie(),
                  "planted": page("jupyterhub-session-id=planted").get_session_cookie(), "cleared": set_by(gone)}))
"""


def test_servers_have_the_names_that_the_hub_gives_them(hub_python: str) -> None:
    argv = [hub_python, "-c", LABELS, json.dumps([ACCOUNTS, "students-work"])]
    theirs, service = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    assert [server_label(account) for account in ACCOUNTS] == theirs
    assert service_label("students-work") == service
    assert len({*theirs, service}) == len(ACCOUNTS) + 1, "nobody has another's name"


def test_the_hubs_session_is_no_other_names_to_set(hub_python: str) -> None:
    argv = [hub_python, "-c", COOKIES, str(FILES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    hub, servers = found["set"]
    assert hub.startswith(f"__Host-jupyterhub-session-id={found['session']};")
    assert "Domain" not in hub
    assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in hub.split(";")}
    assert servers.startswith("jupyterhub-session-id=")
    assert "Domain=hub.example.org" in servers
    assert found["session"] not in servers, "a student's server sees no session of the hub"
    assert found["read"] == found["session"]
    assert found["planted"] is None
    assert [cookie.split("=")[0] for cookie in found["cleared"] if "session-id" in cookie] == [
        "__Host-jupyterhub-session-id",
        "jupyterhub-session-id",
    ]


LOAD = """
import json, sys
from pathlib import Path
from traitlets.config import PyFileConfigLoader
path = Path(sys.argv[1])
print(json.dumps(PyFileConfigLoader(path.name, path=str(path.parent)).load_config()["JupyterHub"], default=repr))
"""


def test_hub_gets_subdomain_names_only_if_there_are_any(hub_python: str, tmp_path: Path) -> None:
    told = {}
    for host in ("", "https://hub.example.org"):
        path = render(tmp_path / (host[-3:] or "without"), subdomain_host=host)
        done = subprocess.run([hub_python, "-c", LOAD, str(path)], capture_output=True, text=True, check=True)
        hub = json.loads(done.stdout)
        told[host] = hub.get("subdomain_host"), hub.get("cookie_host_prefix_enabled")
    assert told == {"": (None, None), "https://hub.example.org": ("https://hub.example.org", True)}


def test_browsers_of_this_host_find_names_below_a_wildcard(tmp_path: Path) -> None:
    """/etc/hosts has no wildcards; a wildcard does not apply to a name with its own record."""
    home = Identity.of(tmp_path).directory
    home.mkdir()
    below.set_names(tmp_path, "phys", ["b.phys.coursehub.test", "a.phys.coursehub.test", "own.phys.coursehub.test"])
    below.set_names(tmp_path, "chem", ["a.chem.coursehub.test", "a.elsewhere.test"])
    records = [
        Record(id=1, type="A", name="*.phys", data="10.0.0.4"),
        Record(id=2, type="A", name="own.phys", data="10.0.0.5"),
    ]
    zones = [Domain(name="coursehub.test", records=records)]
    assert below.addresses(home, zones) == {
        "a.phys.coursehub.test": "10.0.0.4",
        "b.phys.coursehub.test": "10.0.0.4",
    }
    zones[0].records.clear()
    assert below.addresses(home, zones) == {}
    (home / "names" / "phys.json").write_text("{")
    assert below.names(home) == ["a.chem.coursehub.test", "a.elsewhere.test"]
