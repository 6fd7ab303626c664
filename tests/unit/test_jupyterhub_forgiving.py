"""A sign-in that forgives everyday mistakes, and no more."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support.hub_config import FILES
from tests.support.hub_pages import page  # noqa: F401 - a fixture
from tests.support.walls import ANSWERED, REFUSED

pytestmark = pytest.mark.unit

SIGN_IN = """
import asyncio, json, os, sys
sys.path.insert(0, sys.argv[1])
from types import SimpleNamespace
import pamela
from class_signin import accounts
from class_signin.password import ClassPassword
accounts.WRONG_ANSWER = 0
tried = []
def authenticate(name, password, service):
    tried.append([name, password])
    if (name, password) not in (("ada", "right"), ("bob", " padded ")):
        raise pamela.PAMError("no")
pamela.authenticate = authenticate
class Forgiving(ClassPassword):
    def class_groups(self, account): return ["students"]
    async def open_account(self, account): return {"name": account, "groups": ["students"]}
    def identities(self): return {"ada.l@example.edu": "ada"}
    def help(self): return ""
one = Forgiving(allowed_groups={"students"})
one._devices = SimpleNamespace(known=lambda *_: "", remember=lambda *_: None)
handler = SimpleNamespace(request=SimpleNamespace(remote_ip="10.0.0.1"))
async def all_of(forms):
    found = []
    for name, password in forms:
        try:
            model = await one.by_password(handler, {"username": name, "password": password})
            found.append(model and model["name"])
        except accounts.Refused as refused:
            found.append(refused.status_code)
    return found
print(json.dumps([asyncio.run(all_of(json.loads(sys.argv[2]))), tried]))
"""


def sign_in(hub_python: str, *forms: tuple[str, str]) -> tuple[list[Any], list[list[str]]]:
    done = subprocess.run(
        [hub_python, "-B", "-c", SIGN_IN, str(FILES), json.dumps(forms)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answers, tried = json.loads(done.stdout.splitlines()[-1])
    return answers, tried


def test_sign_in_forgives_pasted_space_and_an_email(hub_python: str) -> None:
    answers, _ = sign_in(
        hub_python, ("ada", "right"), ("ada", " right\n"), (" Ada.L@Example.edu ", "right\r\n"), ("bob", " padded "),
        ("bob", "padded"), ("ada", "ri ght"), ("ada", "Right"), ("mallory@example.edu", "right"),
    )  # fmt: skip
    assert answers == ["ada", "ada", "ada", "bob", None, None, None, None]


def test_guesser_gets_no_more_tries_by_spaces(hub_python: str) -> None:
    """No password is tried twice."""
    answers, tried = sign_in(hub_python, *[("ada", f"guess{number} ") for number in range(12)])
    assert answers == [None] * 10 + [429, 429]
    assert len(tried) == 20
    assert sign_in(hub_python, ("ada", "guess"))[1] == [["ada", "guess"]]


def test_tries_do_not_tell_whose_an_email_address_is(hub_python: str) -> None:
    """An account and an address are counted apart, whether they belong together or not."""
    for address in ("ada.l@example.edu", "mallory@example.edu"):
        forms = [(address, "guess")] * 11 + [("ada", "guess")] * 11
        answers, _ = sign_in(hub_python, *forms)
        assert answers == ([None] * 10 + [429]) * 2, address


def test_login_page_tells_errors_and_caps_lock(page: Any) -> None:
    shown = page("login.html", login_error="<b>Invalid</b>", authenticator_login_url="/hub/login",
                 authenticator={"request_otp": False}, username="ada")  # fmt: skip
    assert 'class="login_error" role="alert">&lt;b&gt;Invalid' in shown
    assert ">Account or email address:<" in shown
    assert 'role="status"' in shown
    assert "CapsLock" in shown
    assert ":focus-visible { outline: 3px" in shown


def framed() -> Any:
    sys.path.insert(0, str(FILES))
    try:
        from class_walls import framed as module  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(FILES))
    return module


def test_frame_of_an_lms_shows_a_link_alone() -> None:
    module = framed()
    assert [name for name, asked in {**ANSWERED, **REFUSED}.items() if module.in_a_frame(asked)] == [
        "a frame", "an object",
    ]  # fmt: skip
    style = re.search(r"<style>(.*?)</style>", module._PAGE)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert digest == module._STYLE_HASH
    assert module._PAGE.count("<a ") == 1
    assert '<a href="/" target="_blank" rel="noopener">' in module._PAGE
    assert "<script" not in module._PAGE
    assert "<form" not in module._PAGE
