"""Checks every request of our client and every real answer against the provider's description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from openapi_core import OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from openapi_core.exceptions import OpenAPIError
from openapi_core.validation.request.exceptions import ParameterValidationError
from requests import Request, Response

from runner.cloud.calls import USER_AGENT

#: The body with which `doctor` tests whether a token may create something: it creates nothing.
EMPTY = b"{}"
#: The published description that was cut down has none of it.
NOT_DESCRIBED = ("/v2/load_balancers",)
DESCRIPTION = Path(__file__).parent / "digitalocean-openapi.yaml"
Message = MutableMapping[str, Any]


@cache
def description() -> OpenAPI:
    """The provider's description. Its lists are composed with allOf, so extra keys cannot be forbidden here."""
    return OpenAPI.from_file_path(str(DESCRIPTION))


def described_keys(schema: str) -> set[str]:
    """The keys in the provider's description of a kind of object."""
    return set(_document()["components"]["schemas"][schema]["properties"])


@cache
def _document() -> Any:
    return yaml.load(DESCRIPTION.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


def _request(method: str, path: str, query: str = "", body: bytes | None = None) -> RequestsOpenAPIRequest:
    url = f"http://127.0.0.1{path.rstrip('/')}" + (f"?{query}" if query else "")
    headers = {"content-type": "application/json"}
    return RequestsOpenAPIRequest(Request(method, url, headers=headers, data=body).prepare())


def check_contract(method: str, url: str, answer: httpx.Response) -> None:
    """Raise OpenAPIError if the description does not allow this answer to this request."""
    response = Response()
    response.status_code = answer.status_code
    response._content = answer.content
    response.headers.update(answer.headers)
    request = _request(method, httpx.URL(url).path)
    description().validate_response(request, RequestsOpenAPIResponse(response))


def check_request(method: str, path: str, query: str, body: bytes) -> None:
    """Raise OpenAPIError if the description does not allow this request."""
    try:
        description().validate_request(_request(method, path, query, body or None))
    except ParameterValidationError as error:
        # It is a number or a fingerprint; the path parser reads the number as text.
        if error.name != "ssh_key_identifier":
            raise


class Contract:
    """An application between the faults and the API; ``broken`` collects violations of the description."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.broken: list[str] = []
        self.requests: set[tuple[str, str]] = set()

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Handle one request and check its answer."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode()
        asked_for_scope = method in ("POST", "PUT") and body == EMPTY
        described = path.startswith("/v2/") and path not in NOT_DESCRIBED
        if headers.get("user-agent") == USER_AGENT and described and not asked_for_scope:
            self.requests.add((method, path))
            self._note(method, path, lambda: check_request(method, path, query, bytes(body)))
        start: Message = {}
        answer = bytearray()

        async def heard(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                answer.extend(message.get("body", b""))
            await send(message)

        async def again() -> Message:
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, again, heard)
        if start:
            given = [(key.decode(), value.decode()) for key, value in start["headers"]]
            told = httpx.Response(start["status"], headers=given, content=bytes(answer))
            if described:
                self._note(method, path, lambda: check_contract(method, path, told))

    def _note(self, method: str, path: str, check: Callable[[], None]) -> None:
        try:
            check()
        except OpenAPIError as error:
            self.broken.append(f"{method} {path}: {error} {error.__cause__ or ''}")
