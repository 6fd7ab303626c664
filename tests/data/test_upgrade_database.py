"""The hub's database over several versions of JupyterHub, each the real one from the package index.

A database of an old version is migrated as an upgrade does it, used by the new version, taken back, and used by the old
version again.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from coursehub_upgrade import database, trial

from tests.support.environments import python_of
from tests.support.sandbox import REPO

pytestmark = [pytest.mark.unit, pytest.mark.timeout(600)]

#: Two terms of versions and more, oldest first.
OLD = ("4.1.6", "5.2.1", "5.4.3")

#: Uses JupyterHub's own classes. Prints what it finds at the end, as JSON.
USE = """
import json, sys
from jupyterhub import orm
from jupyterhub.roles import get_default_roles, create_role
db = orm.new_session_factory("sqlite:///" + sys.argv[1])()
for role in get_default_roles():
    create_role(db, role)
# Of the hub itself; tokens belong to it.
if not db.query(orm.OAuthClient).filter_by(identifier="jupyterhub").first():
    db.add(orm.OAuthClient(identifier="jupyterhub", secret="", redirect_uri="", description="hub"))
for name in json.loads(sys.argv[2]):
    user = orm.User(name=name, roles=[orm.Role.find(db, "user")])
    db.add(user); db.commit()
    server = orm.Server(proto="http+unix", ip="%2frun%2fsockets%2f" + name, port=0, base_url=f"/user/{name}/")
    spawner = orm.Spawner(name="", user=user, server=server, state={"unit": name})
    client = orm.OAuthClient(identifier="jupyterhub-user-" + name, secret="", redirect_uri="", description="")
    db.add_all([server, client]); db.commit()
    spawner.oauth_client = client
    group = orm.Group.find(db, "team-a") or orm.Group(name="team-a")
    group.users.append(user)
    db.add_all([spawner, group]); db.commit()
    user.new_api_token("token-of-" + name, note="Server", generated=False, scopes=["self"])
found = {
    user.name: {
        "token": orm.APIToken.find(db, "token-of-" + user.name).user.name,
        "server": user.orm_spawners[""].server.base_url,
        "state": user.orm_spawners[""].state,
        "client": user.orm_spawners[""].oauth_client.identifier,
        "groups": [group.name for group in user.groups],
        "cookie": user.cookie_id,
    }
    for user in db.query(orm.User)
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def new() -> str:
    """The Python of the hub's own lock."""
    return python_of(REPO / "formulas/jupyterhub/files/hub.txt", Path("/nonexistent"))


@pytest.fixture(scope="module", params=OLD)
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of a throw-away environment with an older JupyterHub."""
    home = tmp_path_factory.mktemp("hub") / request.param
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    python = str(home / "bin/python")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, f"jupyterhub=={request.param}"], check=True)
    return python


def use(python: str, path: Path, *new_people: str) -> dict[str, Any]:
    """Open the database with that JupyterHub, add people whose servers run, and return everybody."""
    argv = [python, "-c", USE, str(path), json.dumps(new_people)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def migrate(python: str, path: Path) -> None:
    """What a trial and the new hub do."""
    environment = {"PATH": f"{Path(python).parent}:/usr/bin:/bin"}
    argv = [python, "-c", trial.MIGRATE, f"sqlite:///{path}"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_database_goes_forward_and_back(old: str, new: str, tmp_path: Path) -> None:
    """Nothing is lost on the way: neither who was there before, nor who came in between."""
    present, before = tmp_path / "hub.sqlite", tmp_path / "before.sqlite"
    first = use(old, present, "ada", "bob")
    assert sorted(first) == ["ada", "bob"]
    database.copy(present, before)
    migrate(new, present)
    assert database.revision(present) != database.revision(before)
    # The new version adds Carl and loses Bob.
    both = use(new, present, "carl")
    assert {name: both[name] for name in first} == first
    with sqlite3.connect(present) as direct:
        direct.execute("PRAGMA foreign_keys = ON")
        direct.execute("DELETE FROM users WHERE name = 'bob'")
    now = {name: facts for name, facts in both.items() if name != "bob"}

    back = database.prepare(present, before)
    assert back.lost == ""
    back.replace()
    assert database.revision(present) == database.revision(before)
    with sqlite3.connect(present) as direct:
        assert direct.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert direct.execute("PRAGMA foreign_key_check").fetchall() == []
    assert use(old, present) == now
    # And forward once more.
    migrate(new, present)
    assert use(new, present, "dora").keys() == {"ada", "carl", "dora"}


def test_old_hub_refuses_a_migrated_database(old: str, new: str, tmp_path: Path) -> None:
    """The reason for all this: without the way back, a migrated database would keep the old hub from starting."""
    present = tmp_path / "hub.sqlite"
    use(old, present, "ada")
    migrate(new, present)
    argv = [old, "-c", "import sys; from jupyterhub import orm; orm.new_session_factory('sqlite:///' + sys.argv[1])"]
    done = subprocess.run([*argv, str(present)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "revision" in done.stderr.lower()
