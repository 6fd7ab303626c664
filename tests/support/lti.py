"""A learning management system for tests of LTI 1.3: keys over HTTPS, and signed launches."""

from __future__ import annotations

import html
import json
import re
import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from runner.hub.client import HubClient
from tests.support.serving import in_background

_CLAIM = "https://purl.imsglobal.org/spec/lti/claim"
#: Where the hub expects a visit to start.
_VISIT = "/hub/lti13/oauth_login"
Twist = Callable[[dict[str, Any]], None]


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Platform:
    """An LMS at ``https://NAME:PORT``; ``people`` are email addresses by the LMS's user id."""

    name: str
    address: str
    port: int
    context: ssl.SSLContext
    people: dict[str, str]
    client_id: str = "10000000000001"
    key: rsa.RSAPrivateKey = field(default_factory=new_key)
    #: Another key than the published one, if set.
    signs_with: rsa.RSAPrivateKey | None = None
    #: Changes the claims of a launch before it is signed.
    twist: Twist = lambda _: None
    #: The hub's last request.
    last: dict[str, str] = field(default_factory=dict)
    _server: ThreadingHTTPServer | None = None

    @property
    def issuer(self) -> str:
        return f"https://{self.name}:{self.port}"

    def start(self) -> None:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                text = platform._answer(address.path, dict(parse_qsl(address.query)))
                self.send_response(200 if text else 404)
                self.send_header("Content-Type", "application/json" if address.path == "/jwks" else "text/html")
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((self.address, self.port), Handler)
        self._server.socket = self.context.wrap_socket(self._server.socket, server_side=True)
        in_background(self._server)

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, path: str, asked: dict[str, str]) -> str | None:
        if path == "/jwks":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return json.dumps({"keys": [{**public, "kid": "one", "alg": "RS256", "use": "sig"}]})
        if path == "/course":
            return _form(asked.pop("at"), asked, "<button>Open the hub</button>")
        if path == "/framed":
            return f'<h1>Week 1</h1><iframe src="{html.escape(asked["at"])}" width="800" height="400"></iframe>'
        if path != "/authorize":
            return None
        assert asked["response_mode"] == "form_post"
        fields = {"state": asked["state"], "id_token": self.launch(asked)}
        return _form(asked["redirect_uri"], fields, "<script>document.forms[0].submit()</script>")

    def claims(self, asked: dict[str, str]) -> dict[str, Any]:
        """The claims of a launch for the hub's request."""
        now = int(time.time())
        return {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, asked["login_hint"])),
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "email": self.people.get(asked["login_hint"]),
            f"{_CLAIM}/version": "1.3.0",
            f"{_CLAIM}/message_type": "LtiResourceLinkRequest",
            f"{_CLAIM}/deployment_id": "1",
            f"{_CLAIM}/target_link_uri": asked.get("target_link_uri", asked["redirect_uri"]),
            f"{_CLAIM}/resource_link": {"id": "lab-1"},
            f"{_CLAIM}/roles": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
            f"{_CLAIM}/context": {"id": "engr114", "label": "ENGR 114"},
        }

    def launch(self, asked: dict[str, str]) -> str:
        """The signed message."""
        self.last = asked
        claims = self.claims(asked)
        self.twist(claims)
        return jwt.encode(claims, self.signs_with or self.key, algorithm="RS256", headers={"kid": "one"})

    def click(self, client: HubClient, person: str, target: str = "/hub/home", **more: str) -> requests.Response:
        """Click the link in the LMS, up to the form that returns the student to the hub.

        ``target`` is where the link leads; ``more`` are further parameters of it.
        """
        return client.get(_VISIT, params={**self.visit(person, urljoin(client.base, target)), **more})

    def course_page(self, person: str, hub: str) -> str:
        """The LMS's page with a button that opens the hub (``https://NAME``), a form as in Canvas and Moodle."""
        return f"{self.issuer}/course?{urlencode({'at': hub + _VISIT, **self.visit(person, hub + '/hub/home')})}"

    def framed_page(self, address: str) -> str:
        """The LMS's page that shows another address in a frame."""
        return f"{self.issuer}/framed?{urlencode({'at': address})}"

    def visit(self, person: str, target: str) -> dict[str, str]:
        """What the LMS sends to the hub at the start of a visit."""
        return {
            "iss": self.issuer,
            "login_hint": person,
            "client_id": self.client_id,
            "lti_message_hint": "lab-1",
            "target_link_uri": target,
        }


def _form(action: str, fields: dict[str, str], then: str) -> str:
    inputs = "".join(f'<input name="{name}" value="{html.escape(value)}">' for name, value in fields.items())
    return f'<form method="post" action="{html.escape(action)}">{inputs}{then}</form>'


def submit(client: HubClient, page: requests.Response) -> requests.Response:
    """Send the form, as its script does in a browser."""
    action = re.search(r'action="([^"]+)"', page.text)
    assert action, page.text
    fields = dict(re.findall(r'<input name="([^"]+)" value="([^"]*)"', page.text))
    return client.http.post(html.unescape(action[1]), data=fields, timeout=20)
