"""Who may sign in to a class hub, and how: one authenticator for each kind of sign-in.

Only the machine's accounts decide. A kind says who a person is; ``accounts.ClassAuthenticator`` says which account that
is and whether it is open.
"""

import importlib
from typing import Any

KINDS = {
    "password": "class_signin.password.ClassPassword",
    "google": "class_signin.oauth.ClassGoogle",
    "github": "class_signin.oauth.ClassGitHub",
    "microsoft": "class_signin.oauth.ClassMicrosoft",
    "oidc": "class_signin.oauth.ClassOIDC",
    "lti13": "class_signin.lti13.ClassLTI13",
}


def authenticator(kind: str) -> Any:
    """Return the class of one kind, without loading the libraries of the others."""
    module, _, name = KINDS[kind].rpartition(".")
    return getattr(importlib.import_module(module), name)
