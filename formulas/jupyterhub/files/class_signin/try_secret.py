"""Ask the provider whether it still accepts the hub: `python -m class_signin.try_secret CONFIGURATION`, as root.

It sends a made-up code: a provider that accepts the hub refuses the code, otherwise it refuses the hub. It prints "ok",
"refused", "silent" or "odd", then an explanation.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jupyterhub.app import JupyterHub
from tornado.httpclient import HTTPClientError
from traitlets.config import PyFileConfigLoader

from class_signin.accounts import Refused

# Errors of providers if the client id or its secret is wrong: RFC 6749 (5.2), GitHub, Microsoft.
OF_THE_CLIENT = ("invalid_client", "unauthorized_client", "incorrect_client_credentials", "AADSTS7000215")
# Errors of providers if the client is right and only the code is wrong.
OF_THE_CODE = ("invalid_grant", "bad_verification_code")
CODE = "made-up-by-coursehub-check"


def judge(status: int, body: str) -> tuple[str, str]:
    """Return what the provider's answer to a made-up code means, and an explanation."""
    if any(word in body for word in OF_THE_CLIENT) or status == 401:
        return "refused", "it does not accept the client id with this secret"
    if any(word in body for word in OF_THE_CODE):
        return "ok", "it accepts the hub"
    if status >= 500:
        return "silent", f"it answers with HTTP {status}"
    return "odd", f"it answers a made-up code with HTTP {status}"


async def ask(provider: Any) -> tuple[str, str]:
    """Ask the provider of an authenticator; this includes discovery of its addresses."""
    try:
        await provider.ready()
    except Refused as refused:
        return ("silent" if refused.status_code == 503 else "odd"), "its address does not lead to a provider"
    parameters = {
        "code": CODE,
        "grant_type": "authorization_code",
        "redirect_uri": provider.oauth_callback_url,
        # The shortest length that is allowed.
        "code_verifier": "x" * 43,
        **({} if provider.basic_auth else {"client_id": provider.client_id, "client_secret": provider.client_secret}),
        **provider.token_params,
    }
    try:
        answer = await provider.httpfetch(
            provider.token_url,
            method="POST",
            headers=provider.build_token_info_request_headers(),
            body=urlencode(parameters).encode(),
            parse_json=False,
        )
    except HTTPClientError as problem:
        body = (problem.response.body or b"") if problem.response else b""
        return judge(problem.code, body.decode(errors="replace"))
    except OSError as problem:
        return "silent", type(problem).__name__
    return judge(answer.code, (answer.body or b"").decode(errors="replace"))


def main(path: str) -> None:
    """Print the verdict on the configuration at ``path``."""
    # An answer may quote what was sent, so nothing is logged.
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("CONFIGPROXY_AUTH_TOKEN", "only to make the object")
    config = PyFileConfigLoader(Path(path).name, path=str(Path(path).parent)).load_config()
    kind = JupyterHub(config=config).authenticator_class
    print(*asyncio.run(ask(kind(config=config))))


if __name__ == "__main__":
    main(sys.argv[1])
