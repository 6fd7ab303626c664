"""People and secrets after Salt decrypts them: what reaches a person's server, and what does not."""

from __future__ import annotations

import json

import pytest

from tests.render.conftest import RELEASES
from tests.render.courses import LISTED, SECRET
from tests.render.rendering import Renderer, Rendering

pytestmark = pytest.mark.render


@pytest.fixture
def listed(renderings: dict[str, Rendering]) -> Rendering:
    return renderings[f"course-{LISTED}-debian-13"]


def test_a_class_list_becomes_accounts_by_role(listed: Rendering) -> None:
    people = listed.pillar["accounts"]["people"]
    assert {account: facts["groups"] for account, facts in people.items()} == {
        "prof": ["instructors"],
        "s": ["students"],
        "t": ["students", "team-team-1"],
        "visitor": ["guests"],
        "coursehub-check": ["checks"],
    }


def test_nothing_else_of_a_person_reaches_the_server(listed: Rendering) -> None:
    sent = json.dumps([listed.pillar, listed.chunks], ensure_ascii=False)
    for word in ("Pat Professor", "20067930", "vlogin77", "gone"):
        assert word not in sent
    # Students' names are only for "Students' work"; only root can read its file, and no diff shows it.
    holders = [(c["__id__"], c.get("mode"), c.get("show_changes")) for c in listed.chunks if "Núñez" in str(c)]
    assert holders == [("/etc/jupyterhub/names.json", "0600", False)]
    # The email address identifies the account at sign-in; only root can read its file.
    holders = [(c["__id__"], c.get("mode")) for c in listed.chunks if "pat@example.org" in str(c)]
    assert holders == [("/srv/jupyterhub/identities.json", "0600")]


def test_a_secret_that_no_formula_takes_stays_here(listed: Rendering) -> None:
    assert "a-secret" not in json.dumps(listed.pillar)
    assert "PGP MESSAGE" not in json.dumps(listed.pillar)


def test_guests_have_no_shell_by_ssh_and_may_sign_in(listed: Rendering) -> None:
    assert "guests" in listed.pillar["base"]["sshd"]["deny_groups"]
    (config,) = (file for file in listed.files() if file.path == "/etc/jupyterhub/jupyterhub_config.py")
    assert '"guests"' in config.text
    assert SECRET not in config.text


def test_without_the_key_nothing_is_rendered(renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An unreadable class list must never become an empty class."""
    elsewhere = str(tmp_path_factory.mktemp("nokey"))
    renderer._opts["gpg_keydir"], before = elsewhere, renderer._opts["gpg_keydir"]
    try:
        done = renderer.course(LISTED, RELEASES["debian-13"])
    finally:
        renderer._opts["gpg_keydir"] = before
    assert any("Could not decrypt" in error or "hub" in error for error in done.errors), done.errors
    assert done.chunks == []
