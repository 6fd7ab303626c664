"""A complete sign-in of each kind, and people who can use all of them."""

from __future__ import annotations

from typing import Any

TENANT = "11111111-2222-3333-4444-555555555555"
#: A complete ``signin`` of each kind.
WHOLE: dict[str, dict[str, Any]] = {
    "password": {},
    "google": {"client_id": "abc.apps.googleusercontent.com", "hosted_domain": "example.edu"},
    "github": {"client_id": "Iv1.abc"},
    "microsoft": {"client_id": "abc", "tenant": TENANT},
    "oidc": {"client_id": "hub", "issuer": "https://login.example.edu/realms/college"},
    "lti13": {
        "client_id": "10000000000001",
        "issuer": "https://lms.example.edu",
        "authorize_url": "https://lms.example.edu/d2l/lti/authenticate",
        "jwks_url": "https://lms.example.edu/d2l/.well-known/jwks",
    },
}
PEOPLE = {
    "professors": [{"account": "curie", "name": "M", "email": "mc@example.edu", "login": "mc1", "github": "mcurie"}],
    "students": [
        {"account": "turing", "name": "A", "email": "Turing@example.edu", "login": "at2", "github": "aturing"}
    ],
}
