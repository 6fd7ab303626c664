"""What a teacher must set up for sign-in: the fields of the provider's form, and what is missing here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from runner.course import Course, People, Person
from runner.errors import USAGE, CoursehubError
from runner.secrets import Secrets

#: The name of the client secret in ``pillar/secrets/<course>.sls``.
STORED_AS = "oauth-client-secret"
#: The address of the form, by kind.
_FORMS = {
    "google": "console.cloud.google.com: APIs & Services, Credentials, Create credentials, OAuth client ID",
    "github": "github.com: your organisation's (or your own) Settings, Developer settings, OAuth Apps, New OAuth app",
    "microsoft": "entra.microsoft.com: App registrations, New registration",
    "oidc": "your college's provider: a new confidential client of OpenID Connect, authorization code flow",
    "lti13": "your LMS's administration: a new LTI 1.3 (LTI Advantage) tool",
}


#: The provider's names for the values in the course file, by kind if they differ.
_CALLED = {
    "client_id": {"microsoft": "Application (client) ID", "": "Client ID"},
    "tenant": {"": "Directory (tenant) ID"},
    "issuer": {"lti13": "Issuer, or Platform ID", "": "Issuer"},
    "authorize_url": {"": "OpenID Connect authentication endpoint"},
    "jwks_url": {"": "Keyset URL"},
}


def called(kind: str, key: str) -> str:
    """The provider's name for the value that the course file has as ``key``."""
    names = _CALLED[key]
    return names.get(kind, names[""])


@dataclass(frozen=True)
class Field:
    """One field of a provider's form and its value."""

    label: str
    value: str


def form(course: Course) -> list[Field]:
    """The values for the provider's form, with its own field names; empty for ``password``."""
    home, redirect = f"https://{course.domain}", redirect_uri(course)
    fields: dict[str, list[Field]] = {
        "google": [
            Field("Application type", "Web application"),
            Field("Authorized JavaScript origins", home),
            Field("Authorized redirect URIs", redirect),
        ],
        "github": [
            Field("Application name", course.title),
            Field("Homepage URL", home),
            Field("Authorization callback URL", redirect),
        ],
        "microsoft": [
            Field("Supported account types", "Accounts in this organizational directory only"),
            Field("Redirect URI, platform Web", redirect),
        ],
        "oidc": [Field("Redirect URI", redirect), Field("Scopes", "openid email profile")],
        "lti13": [
            Field("Redirect URI", redirect),
            Field("OpenID Connect login URL (initiation URL)", f"{home}/hub/lti13/oauth_login"),
            Field("Target link URI", f"{home}/hub"),
            Field("Privacy", "send the user's email address; open in a new window"),
        ],
    }
    return fields.get(course.signin.kind, [])


def where(course: Course) -> str:
    """Where to find the provider's form."""
    return _FORMS.get(course.signin.kind, "")


def redirect_uri(course: Course) -> str:
    """The redirect address that the provider must know exactly."""
    below = "lti13/oauth_callback" if course.signin.kind == "lti13" else "oauth_callback"
    return f"https://{course.domain}/hub/{below}"


def identity(course: Course, person: Person) -> str | None:
    """The provider's identity of a person, as the hub compares it; None if the course does not contain it."""
    match course.signin.kind:
        case "password":
            return person.account
        case "github":
            known = person.github
        case "oidc" if course.signin.claim != "email":
            known = person.login
        case _:
            known = person.email
    return known.lower() if known else None


def strangers(course: Course, people: People) -> list[str]:
    """Accounts of people without a known identity at the provider: they cannot sign in."""
    return [person.account for person in people.everyone() if identity(course, person) is None]


def key(course: Course) -> str:
    """The key of a person that is compared with the provider's identity."""
    if course.signin.kind == "github":
        return "github"
    return "login" if course.signin.kind == "oidc" and course.signin.claim != "email" else "email"


def need(course: Course, people: People | None, secrets: Secrets, at: str) -> None:
    """Check everything that sign-in needs before a server is changed; ``at`` is the line of ``signin``.

    If ``people`` is None, nobody here may know them, and they are not checked.

    Raises CoursehubError (2): no client secret, two people with one identity, no professor who could sign in.
    """
    kind = course.signin.kind
    if course.signin.needs_secret and STORED_AS not in secrets.names():
        raise CoursehubError(
            f"{at}: signin.kind {kind} needs the client's secret; run 'coursehub secrets set {secrets.path.stem} "
            f"{STORED_AS}'",
            exit_code=USAGE,
        )
    if people is None:
        return
    found = [known for known in (identity(course, person) for person in people.everyone()) if known]
    twice = [known for known, times in Counter(found).items() if times > 1]
    if twice:
        accounts = [person.account for person in people.everyone() if identity(course, person) == twice[0]]
        raise CoursehubError(
            f"{at}: {' and '.join(accounts)} have one {key(course)}, and sign-in could not tell them apart; "
            "give each their own",
            exit_code=USAGE,
        )
    lost = strangers(course, people)
    if all(person.account in lost for person in people.professors):
        raise CoursehubError(
            f"{at}: signin.kind {kind} knows people by their {key(course)}, and no professor has one; add it to "
            f"{people.professors[0].account}",
            exit_code=USAGE,
        )


def notes(course: Course, people: People, at: str) -> list[str]:
    """A note on people who could not sign in."""
    lost = strangers(course, people)
    if not lost:
        return []
    shown = ", ".join(lost[:10]) + (f" and {len(lost) - 10} more" if len(lost) > 10 else "")
    return [f"{at}: {shown} cannot sign in by {course.signin.kind}: no {key(course)} of theirs is known; add it"]
