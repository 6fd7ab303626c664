"""How people sign in: at the hub itself, at a provider that vouches for them, or from the LMS."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from runner.course.facts import Facts, Hostname, Text, text_like

Kind = Literal["password", "google", "github", "microsoft", "oidc", "lti13"]

#: Keys that a kind requires, besides the client's secret.
NEEDS: dict[Kind, tuple[str, ...]] = {
    "password": (),
    "google": ("client_id",),
    "github": ("client_id",),
    "microsoft": ("client_id", "tenant"),
    "oidc": ("client_id", "issuer"),
    "lti13": ("client_id", "issuer", "authorize_url", "jwks_url"),
}

#: Placeholders for values that the provider has not given yet, so that its form can be shown.
PLACEHOLDERS = {
    "client_id": "to-come",
    "tenant": "00000000-0000-0000-0000-000000000000",
    "issuer": "https://to-come.invalid",
    "authorize_url": "https://to-come.invalid",
    "jwks_url": "https://to-come.invalid",
}

#: Without a query: providers compare an issuer letter by letter.
Address = Annotated[
    str,
    *text_like(
        r"^https://[a-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?$",
        "an address such as https://login.example.edu",
    ),
]
#: Microsoft's "Directory (tenant) ID". Names such as common would let any Microsoft account try to sign in.
Tenant = Annotated[
    str,
    *text_like(
        r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "a Directory (tenant) ID such as 11111111-2222-3333-4444-555555555555 (small letters)",
    ),
]
Claim = Annotated[str, *text_like(r"^[A-Za-z][A-Za-z0-9_:./-]{0,99}$", "a claim's name such as preferred_username")]


class Signin(Facts):
    """How people sign in."""

    kind: Annotated[Kind, Field(examples=["google"])] = "password"
    """Who confirms a person's identity. ``password``: the hub itself; ``google``, ``github`` and ``microsoft``: these
    providers; ``oidc``: any provider of OpenID Connect, such as your college's; ``lti13``: your LMS, which then opens
    the hub. For every kind, only people of the course get in, and homes stay when you change the kind. Keys of other
    kinds are ignored. docs/sign-in.md has the steps for each."""
    client_id: Annotated[Text | None, Field(examples=["1234567890-abc.apps.googleusercontent.com"])] = None
    """The provider's id of this hub; every kind except ``password`` needs it. Its secret does not belong here: use
    ``./coursehub secrets set COURSE oauth-client-secret``."""
    hosted_domain: Annotated[Hostname | None, Field(examples=["example.edu"])] = None
    """For ``google``: the college's domain at Google. Private accounts are then refused."""
    tenant: Annotated[Tenant | None, Field(examples=["11111111-2222-3333-4444-555555555555"])] = None
    """For ``microsoft``: the college's Directory (tenant) ID. Accounts of other organisations are refused."""
    issuer: Annotated[Address | None, Field(examples=["https://login.example.edu"])] = None
    """For ``oidc`` and ``lti13``: the address by which the provider or LMS identifies itself, exactly the same."""
    claim: Annotated[Claim, Field(examples=["preferred_username"])] = "email"
    """For ``oidc``: the provider's claim that identifies people. ``email`` is compared with people's ``email``, any
    other claim with their ``login``. Choose a claim that people cannot change themselves."""
    service: Annotated[Text | None, Field(examples=["Example College"])] = None
    """For ``oidc`` and ``lti13``: the name of the provider or LMS that students know; the sign-in page shows it."""
    authorize_url: Annotated[Address | None, Field(examples=["https://lms.example.edu/d2l/lti/authenticate"])] = None
    """For ``lti13``: the LMS's OpenID Connect authentication address."""
    jwks_url: Annotated[Address | None, Field(examples=["https://lms.example.edu/d2l/.well-known/jwks"])] = None
    """For ``lti13``: the address at which the LMS publishes its signing keys."""

    @model_validator(mode="after")
    def _whole(self) -> Signin:
        missing = [key for key in NEEDS[self.kind] if not getattr(self, key)]
        if missing:
            raise ValueError(
                f"kind {self.kind} needs {' and '.join(missing)} below it too ('coursehub signin COURSE' says what to "
                "register first to get them)"
            )
        return self

    @property
    def needs_secret(self) -> bool:
        """Whether the hub needs a client secret from the provider."""
        return self.kind not in ("password", "lti13")
