"""Nobody of the class gives a server options; the service that starts servers before a class does."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit

LIB = REPO / "formulas/jupyterhub/files"
#: Prints what the hub's handlers make of requests by a person and by a service.
TRY = """
import asyncio, inspect, json, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from class_walls.hub import wall_options
from jupyterhub import orm
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.pages import SpawnHandler
from tornado.web import HTTPError

wall_options()

def made(kind, who, body):
    handler = kind.__new__(kind)
    handler.request = SimpleNamespace(body=body.encode())
    handler._jupyterhub_user = who
    return handler

def tried(function, *arguments):
    try:
        return function(*arguments)
    except HTTPError as problem:
        return problem.status_code

person, service = orm.User(name="mallory"), orm.Service(name="before-class")
bodies = ("", "{}", '{"before_class": 1.5}', '{"user_options": {"a": 1}}', '{"display_name": "x"}')
print(json.dumps({
    who.name: [tried(made(UserServerAPIHandler, who, body).get_server_json_body) for body in bodies]
    for who in (person, service)
} | {
    "patch": tried(made(UserServerAPIHandler, person, "{}").patch, "mallory", ""),
    "form": tried(made(SpawnHandler, person, "").post),
    "page": made(SpawnHandler, person, "")._get_user_options({"a": ["1"], "opt-b": ["2"]}),
}))
"""


def test_only_a_service_gives_a_server_options(hub_python: str) -> None:
    done = subprocess.run([hub_python, "-B", "-c", TRY, str(LIB)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    none = {"display_name": None, "user_options": None}
    assert found["mallory"] == [none, none, 400, 400, {"display_name": "x", "user_options": None}]
    assert found["before-class"][2:4] == [
        {"display_name": None, "user_options": {"before_class": 1.5}},
        {"user_options": {"a": 1}},
    ]
    assert (found["patch"], found["form"], found["page"]) == (405, 405, {})
