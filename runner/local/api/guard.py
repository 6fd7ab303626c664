"""Runs before every handler: injected faults, the token check, and headers for every answer."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.local.cloud import ApiError
from runner.local.faults import Fault, Faults

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# Resets a client's connection; ASGI has no message for that.
Cut = Callable[[tuple[str, int]], None]

RATE_LIMIT = 5000


class Guard:
    """Wraps the application and passes only valid requests on."""

    def __init__(self, app: Starlette, token: str, faults: Faults, cut: Cut) -> None:
        self._app = app
        self._token = token
        self._faults = faults
        self._cut = cut
        self._window: tuple[int, int] = (0, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The provider accepts paths with and without a final slash; python-digitalocean uses both.
        path = scope["path"].rstrip("/") or "/"
        scope = {**scope, "path": path, "raw_path": path.encode()}
        headers = {**self._rate_headers(), "x-request-id": str(uuid.uuid4())}
        given = Request(scope).headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            await error_response(ApiError(401, "Unauthorized", "Unable to authenticate you"), headers)(
                scope, receive, send
            )
            return
        fault = self._faults.match(scope["method"], path)
        if fault is not None and await self._misbehave(fault, scope, receive, send):
            return
        await self._app(scope, receive, _with_headers(send, headers))

    async def _misbehave(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> bool:
        """Apply a fault; return whether it replaces the answer. After a mere delay the real answer follows."""
        await asyncio.sleep(fault.delay_s)
        if fault.status is None and not fault.reset:
            return False
        if fault.after:
            await self._app(scope, receive, _swallow)
        if fault.reset:
            self._cut(scope["client"])
            return True
        text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body or {})
        kind = "text/html" if isinstance(fault.body, str) else "application/json"
        answer = Response(text, fault.status or 500, headers={"content-type": kind, **fault.headers})
        await answer(scope, receive, send)
        return True

    def _rate_headers(self) -> dict[str, str]:
        hour = int(time.time()) // 3600
        used = self._window[1] + 1 if self._window[0] == hour else 1
        self._window = (hour, used)
        return {
            "ratelimit-limit": str(RATE_LIMIT),
            "ratelimit-remaining": str(max(RATE_LIMIT - used, 0)),
            "ratelimit-reset": str((hour + 1) * 3600),
        }


async def _swallow(_message: MutableMapping[str, Any]) -> None:
    """Discards the answer that the client must not get."""


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            extra = [(name.encode(), value.encode()) for name, value in headers.items()]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return wrapped


def error_response(error: ApiError, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error in the provider's shape."""
    request_id = (headers or {}).get("x-request-id", str(uuid.uuid4()))
    body: dict[str, Any] = {"id": error.id, "message": str(error), "request_id": request_id}
    if error.status == 400:
        # Parts of the provider's API use these keys for errors.
        body |= {"error": str(error), "root_causes": []}
    return JSONResponse(body, error.status, headers=headers)
