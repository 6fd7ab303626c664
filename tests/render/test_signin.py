"""The result of each kind of sign-in: the authenticator's settings, the identities, and one secret in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.course import CourseFile
from runner.project import Project
from runner.secrets import Secrets
from runner.setup.signin import STORED_AS, identity, redirect_uri
from tests.render.conftest import RELEASES
from tests.render.courses import MADE_UP, SECRET, runtime
from tests.render.rendering import Renderer, Rendering, all_once
from tests.support.signin_kinds import PEOPLE, WHOLE

pytestmark = pytest.mark.render

#: A ``signin`` of each kind, and an OpenID Connect one with another claim for the identity.
KINDS: dict[str, dict[str, Any]] = {
    **{kind: {"kind": kind, **facts} for kind, facts in WHOLE.items()},
    "oidc-by-login": {"kind": "oidc", "claim": "preferred_username", **WHOLE["oidc"]},
}
STATE = "/srv/jupyterhub"


def course_of(name: str) -> dict[str, Any]:
    return {**MADE_UP["made-one"], "people": PEOPLE, "signin": KINDS[name]}


@pytest.fixture(scope="module")
def rendered(renderer: Renderer, pillar_root: Path, keys: Path) -> dict[str, Rendering]:
    done = {}
    with pytest.MonkeyPatch.context() as patch, all_once():
        patch.setenv("COURSEHUB_KEYS", str(keys))
        for name in KINDS:
            course = course_of(name)
            course_id = f"signin-{name}"
            files = {"courses": {"course": course}, "runtime": runtime(course)}
            for where, document in files.items():
                (pillar_root / where / f"{course_id}.sls").write_text("#!yaml\n" + yaml.safe_dump(document))
            # A secret from another kind, if this one needs none.
            Secrets(Project(pillar_root.parent), course_id).set(STORED_AS, SECRET)
            done[name] = renderer.course(course_id, RELEASES["debian-13"])
    return done


def states(rendering: Rendering, name: str) -> list[dict[str, Any]]:
    return [chunk for chunk in rendering.chunks if chunk["name"] == name]


@pytest.mark.parametrize("name", KINDS)
def test_identities_are_the_runners_own_and_in_no_configuration(rendered: dict[str, Rendering], name: str) -> None:
    rendering = rendered[name]
    assert rendering.errors == []
    course = CourseFile.model_validate({"course": course_of(name)}).course
    assert course.people is not None
    # People who type an email address in place of the account still have a password.
    known = {
        (one.email or "").lower() if name == "password" else identity(course, one): one.account
        for one in course.people.everyone()
    }
    wanted = {what: account for what, account in known.items() if what}
    (chunk,) = states(rendering, f"{STATE}/identities.json")
    assert chunk["dataset"] == wanted
    assert (chunk["mode"], chunk["show_changes"]) == ("0600", False)
    (config,) = (file for file in rendering.files() if file.path == "/etc/jupyterhub/jupyterhub_config.py")
    for what in wanted:
        assert str(what) not in config.text.lower()


@pytest.mark.parametrize("name", KINDS)
def test_client_secret_is_only_in_its_own_file(rendered: dict[str, Rendering], name: str) -> None:
    course = CourseFile.model_validate({"course": course_of(name)}).course
    kept = states(rendered[name], f"{STATE}/oauth_client_secret")
    given = rendered[name].pillar["jupyterhub"]["signin"]["client_secret"]
    if not course.signin.needs_secret:
        # Files of another kind are removed from the server, after the configuration stops using them.
        assert ([chunk["fun"] for chunk in kept], given) == (["absent"], "")
        assert kept[0]["require"] == [{"file": "/etc/jupyterhub/jupyterhub_config.py"}]
        assert SECRET not in json.dumps(rendered[name].pillar["jupyterhub"])
        return
    assert given == SECRET
    (chunk,) = kept
    assert chunk["contents_pillar"] == "jupyterhub:signin:client_secret"
    assert (chunk["mode"], chunk["show_changes"]) == ("0600", False)
    (config,) = (file for file in rendered[name].files() if file.path == "/etc/jupyterhub/jupyterhub_config.py")
    assert SECRET not in config.text


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"password"}))
def test_redirect_uri_is_the_one_that_the_teacher_was_shown(rendered: dict[str, Rendering], name: str) -> None:
    course = CourseFile.model_validate({"course": course_of(name)}).course
    settings = rendered[name].pillar["jupyterhub"]["signin"]["settings"]
    if name == "lti13":
        assert settings["client_id"] == [course.signin.client_id]
        assert (settings["authorize_url"], settings["jwks_endpoint"]) == (
            course.signin.authorize_url,
            course.signin.jwks_url,
        )
        return
    assert settings["oauth_callback_url"] == redirect_uri(course)
    assert settings["client_id"] == course.signin.client_id


def test_microsoft_is_asked_in_the_colleges_tenant(rendered: dict[str, Rendering]) -> None:
    settings = rendered["microsoft"].pillar["jupyterhub"]["signin"]["settings"]
    tenant = WHOLE["microsoft"]["tenant"]
    assert settings["tenant_id"] == tenant
    for step in ("authorize", "token"):
        assert settings[f"{step}_url"] == f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/{step}"


def test_another_claim_is_asked_for(rendered: dict[str, Rendering]) -> None:
    settings = rendered["oidc-by-login"].pillar["jupyterhub"]["signin"]["settings"]
    assert settings["claim"] == "preferred_username"
    assert "profile" in settings["scope"]
    assert "profile" not in rendered["oidc"].pillar["jupyterhub"]["signin"]["settings"]["scope"]


@pytest.mark.parametrize("name", KINDS)
def test_only_the_look_from_outside_has_a_password_of_its_own(rendered: dict[str, Rendering], name: str) -> None:
    assert rendered[name].pillar["jupyterhub"]["signin"]["local_accounts"] == ["coursehub-check"]
