"""Cookies and tokens after a sign-out, or after leaving, in the hub's own database."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit
FILES = Path(__file__).parents[2] / "formulas/jupyterhub/files"

# Ada has a browser's token, one that she made, her server's and a code; Bob the same. ``worth`` prints what still
# works.
STORY = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from jupyterhub import orm, roles
from class_signin.accounts import ClassAuthenticator
from class_signin.leaving import Marks
left = Path(sys.argv[2])
db = orm.new_session_factory("sqlite:///:memory:")()
for role in roles.get_default_roles():
    roles.create_role(db, role)
db.add(orm.OAuthClient(identifier="jupyterhub"))
db.commit()
people, tokens = {}, {}
for name in ("ada", "bob"):
    people[name] = orm.User(name=name)
    db.add(people[name])
    db.commit()
    tokens[name] = {
        "server": people[name].new_api_token(note="Server at /user/x/"),
        "named": people[name].new_api_token(note="Server at /user/x/"),
        "browser": people[name].new_api_token(session_id="s"),
    }
    db.add(orm.OAuthCode(code=name, user_id=people[name].id, client_id=None, redirect_uri="", session_id=""))
    db.commit()
cookies = {name: person.cookie_id for name, person in people.items()}

def worth(name):
    kept = {which for which, token in tokens[name].items() if orm.APIToken.find(db, token)}
    cookie = {"cookie"} if people[name].cookie_id == cookies[name] else set()
    code = {"code"} if db.query(orm.OAuthCode).filter_by(user_id=people[name].id).count() else set()
    return sorted(kept | cookie | code)

def served(name):
    spawner = SimpleNamespace(active=True, api_token=tokens[name]["server"])
    return SimpleNamespace(name=name, orm_user=people[name], spawners={"": spawner})

one = ClassAuthenticator(left_file=str(left))
said = []
"""
PARTS = {
    "nothing happened": "said = [one.marks.settle(people['ada']), worth('ada')]",
    "sign-out": (
        "one.marks.sign_out(served('ada')); said = [worth('ada'), worth('bob'), one.marks.settle(people['ada'])]"
    ),
    "left": (
        "left.write_text(json.dumps({'ada': 'm1'}))\n"
        "said = [one.marks.settle(people['ada']), worth('ada'), one.marks.settle(people['bob']), worth('bob')]\n"
        "cookies['ada'] = people['ada'].cookie_id\n"
        "said += [one.marks.settle(people['ada']), worth('ada')]\n"
        # And came back.
        "new = left.with_suffix('.new'); new.write_text(json.dumps({'ada': 'm2'})); new.replace(left)\n"
        "said += [one.marks.settle(people['ada']), worth('ada')]"
    ),
    "signed out after leaving": (
        "left.write_text(json.dumps({'ada': 'm1'})); one.marks.settle(people['ada'])\n"
        "one.marks.sign_out(served('ada')); said = [one.marks.settle(people['ada'])]"
    ),
    "file lost": (
        "left.write_text(json.dumps({'ada': 'm1'})); one.marks.settle(people['ada'])\n"
        "cookies['ada'] = people['ada'].cookie_id\n"
        "left.unlink(); said = [one.marks.settle(people['ada']), worth('ada')]"
    ),
    "start of the hub": (
        "left.write_text(json.dumps({'ada': 'm1'}))\n"
        "one.add_user(people['ada']); one.add_user(people['bob']); said = [worth('ada'), worth('bob')]"
    ),
    "a new person with a mark": (
        "left.write_text(json.dumps({'eve': 'm1'}))\n"
        "eve = orm.User(name='eve'); db.add(eve); db.commit(); one.add_user(eve)\n"
        "said = [one.marks.settle(eve)]"
    ),
    "refresh": (
        "import asyncio\n"
        "left.write_text(json.dumps({'ada': 'm1'}))\n"
        "said = [asyncio.run(one.refresh_user(people['ada'])), worth('ada')]"
    ),
    "handlers": "said = [path for path, _ in one.get_handlers(None)]",
}
EVERYTHING = ["browser", "code", "cookie", "named", "server"]


@pytest.fixture(scope="module")
def told(hub_python: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of each part, from one process, because importing the hub takes longest."""
    root = tmp_path_factory.mktemp("left")
    lines = ["import json, sys"]
    for number, (part, code) in enumerate(PARTS.items()):
        lines.append(f"sys.argv[2] = {str(root / f'{number}.json')!r}")
        lines.append(f"names = {{}}\nexec({STORY + code!r}, names)\nprint(json.dumps([{part!r}, names['said']]))")
    argv = [hub_python, "-c", "\n".join(lines), str(FILES), ""]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


def test_whose_mark_did_not_change_keeps_everything(told: dict[str, Any]) -> None:
    assert told["nothing happened"] == [False, EVERYTHING]


def test_a_sign_out_leaves_the_running_servers_own_token_alone(told: dict[str, Any]) -> None:
    """A note like the server's protects no other token, and nobody else is signed out."""
    assert told["sign-out"] == [["server"], EVERYTHING, False]
    assert told["signed out after leaving"] == [False]


def test_who_left_has_nothing_that_works_also_after_coming_back(told: dict[str, Any]) -> None:
    assert told["left"] == [True, [], False, EVERYTHING, False, ["cookie"], True, []]


def test_a_mark_that_is_lost_ends_sessions_too(told: dict[str, Any]) -> None:
    assert told["file lost"] == [True, []]


def test_a_hub_that_was_down_ends_them_when_it_starts(told: dict[str, Any]) -> None:
    assert told["start of the hub"] == [[], EVERYTHING]


def test_a_first_session_begins_with_the_mark(told: dict[str, Any]) -> None:
    assert told["a new person with a mark"] == [False]


def test_the_hub_asks_before_it_accepts_a_cookie_or_token(told: dict[str, Any]) -> None:
    assert told["refresh"] == [False, []]


def test_our_sign_out_comes_before_the_hubs(told: dict[str, Any]) -> None:
    assert told["handlers"][0] == "/logout"
