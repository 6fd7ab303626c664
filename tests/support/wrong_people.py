"""Wrong values for people and their sign-in, each with the line that the teacher reads. ROLE is each list of people."""

from __future__ import annotations

from typing import Any, get_args

from runner.course.signin import Kind
from tests.support.wrong_backups import BELOW
from tests.support.wrong_words import EMAIL, HOST, LIST, TEXT

ADDRESS = "must be an address such as https://login.example.edu; correct it"
KINDS = ", ".join(get_args(Kind))
ACCOUNT = (
    "must be an account such as curie (a small letter, then at most 31 small letters, digits, - and _); correct it"
)

WRONG_PEOPLE: dict[str, list[tuple[Any, str]]] = {
    "signin": [("google", f"signin ('google'): {BELOW}")],
    "signin.kind": [
        ("gogle", f"signin.kind ('gogle'): must be one of {KINDS}; did you mean google?"),
        ("ldap", f"signin.kind ('ldap'): must be one of {KINDS}; correct it"),
    ],
    "signin.client_id": [
        (1234, f"signin.client_id (1234): {TEXT.replace('; correct', '; put it in quotes; correct')}"),
    ],
    "signin.hosted_domain": [("@example.edu", f"signin.hosted_domain ('@example.edu'): {HOST}")],
    "signin.tenant": [
        (
            "common",
            "signin.tenant ('common'): must be a Directory (tenant) ID such as 11111111-2222-3333-4444-555555555555 "
            "(small letters); correct it",
        ),
    ],
    "signin.issuer": [
        ("login.example.edu", f"signin.issuer ('login.example.edu'): {ADDRESS}"),
        ("http://login.example.edu", f"signin.issuer ('http://login.example.edu'): {ADDRESS}"),
    ],
    "signin.claim": [
        ("user name", "signin.claim ('user name'): must be a claim's name such as preferred_username; correct it"),
    ],
    "signin.service": [(["a"], f"signin.service: {TEXT}")],
    "signin.authorize_url": [("/d2l/lti/authenticate", f"signin.authorize_url ('/d2l/lti/authenticate'): {ADDRESS}")],
    "signin.jwks_url": [("keys.json", f"signin.jwks_url ('keys.json'): {ADDRESS}")],
    "people": [("everybody", f"people ('everybody'): {BELOW}")],
    "people.ROLE": [("rivera", f"people.ROLE ('rivera'): {LIST}"), (["rivera"], f"people.ROLE.1 ('rivera'): {BELOW}")],
    "people.ROLE[].account": [
        ("Elena.Rivera", f"people.ROLE.1.account ('Elena.Rivera'): {ACCOUNT}"),
        ("root", "people.ROLE.1.account ('root'): this account belongs to the system; choose another"),
        (
            "team-1",
            "people.ROLE.1.account ('team-1'): accounts that begin with team- would be mixed up with teams; choose "
            "another",
        ),
    ],
    "people.ROLE[].name": [("", f"people.ROLE.1.name (''): {TEXT}")],
    "people.ROLE[].email": [("rivera", f"people.ROLE.1.email ('rivera'): {EMAIL}")],
    "people.ROLE[].login": [("", f"people.ROLE.1.login (''): {TEXT}")],
    "people.ROLE[].github": [
        (
            "marie@example.edu",
            "people.ROLE.1.github ('marie@example.edu'): must be a login at GitHub such as octocat (no @, no address); "
            "correct it",
        ),
    ],
    "people.ROLE[].number": [
        (20067930, f"people.ROLE.1.number (20067930): {TEXT.replace('; correct', '; put it in quotes; correct')}")
    ],
    "people.ROLE[].groups": [
        ("team-1", f"people.ROLE.1.groups ('team-1'): {LIST}"),
        (
            ["Team 1"],
            "people.ROLE.1.groups.1 ('Team 1'): must be a team's short name: small letters, digits and -, at most 23; "
            "correct it",
        ),
    ],
}
