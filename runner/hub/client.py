"""A student without a browser: signs in to a JupyterHub, starts a server, and computes in a kernel."""

from __future__ import annotations

import contextlib
import html
import json
import re
import ssl
import time
import uuid
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests
import websocket
from requests.cookies import RequestsCookieJar

#: Time limits in seconds for one page, and for a server's start: its place in the queue, and the start itself, as the
#: hub has them (formula jupyterhub, queue_timeout and start_timeout).
PAGE_SECONDS = 20
QUEUE_SECONDS, SPAWN_SECONDS = 600, 180
#: Seconds without a word on the progress stream after which the hub behind it is gone. It says something every eight
#: seconds, but a busy one may be late, and a proxy keeps the stream open when the hub restarts.
SILENT_SECONDS = 60
KERNEL_SECONDS = 90

#: Where the hub's page says why a server did not start.
_WHY = re.compile(r'<p id="why"[^>]*>([^<]+)<')
_PLACE = re.compile(r"/(user|services)/[^/?]+/")


class _Browser(requests.Session):
    """Sends cookies as browsers do: a cookie without a domain goes only to the host that set it, not to names below."""

    _POLICY = DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Choose the cookies again: requests would use its own policy."""
        prepared = super().prepare_request(request)
        jar: RequestsCookieJar | None = prepared._cookies  # type: ignore[attr-defined]
        if jar is not None and "Cookie" not in (request.headers or {}):
            prepared.headers.pop("Cookie", None)
            jar.set_policy(self._POLICY)
            prepared.prepare_cookies(jar)
        return prepared


class HubFailure(Exception):
    """An error that a student would see, in one line."""


def cause_of(error: BaseException) -> str:
    """Why a connection failed, in a few words, such as "connection refused"."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, requests.Timeout | TimeoutError):
            return "no answer in time"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


class HubClient:
    """One person's session at ``https://hostname``.

    ``ca_bundle`` is a PEM file to verify the certificate with, None for the system's; verification is never off.
    """

    def __init__(self, hostname: str, username: str, ca_bundle: Path | None = None) -> None:
        self.base = f"https://{hostname}"
        # The origin of each server and service, as the hub reported it; the hub's own if they have no names of their
        # own.
        self._origins: dict[str, str] = {}
        self.hostname = hostname
        self.username = username
        self._ca = str(ca_bundle) if ca_bundle else None
        self.http = _Browser()
        # A proxy or CA setting in the teacher's shell must not change the result.
        self.http.trust_env = False
        self.http.verify = self._ca or True

    def __enter__(self) -> HubClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a path of the hub. Raises HubFailure if there is no answer."""
        return self._request("GET", path, **options)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", PAGE_SECONDS)
        try:
            return self.http.request(method, self.origin(path) + path, **options)
        except requests.exceptions.SSLError as error:
            raise HubFailure(f"the certificate of {self.hostname} is not trusted") from error
        except requests.RequestException as error:
            raise HubFailure(f"{self.hostname} does not answer: {cause_of(error)}") from error

    def origin(self, path: str) -> str:
        """The origin of a path of the hub: the hub's, or that of a server or service with a name of its own.

        The hub is asked once for each. Raises requests.RequestException if it does not answer.
        """
        found = _PLACE.match(path)
        if not found:
            return self.base
        place = found[0]
        if place not in self._origins:
            answer = self._stranger().get(self.base + place, allow_redirects=False, timeout=PAGE_SECONDS)
            where = urlsplit(answer.headers.get("Location", ""))
            below = where.netloc.endswith(f".{self.hostname}") and where.path == place
            self._origins[place] = f"https://{where.netloc}" if below else self.base
        return self._origins[place]

    def _stranger(self) -> requests.Session:
        """A request without cookies: the hub tells everybody where a server is."""
        session = requests.Session()
        session.trust_env, session.verify = self.http.trust_env, self.http.verify
        return session

    def _cookies(self, url: str) -> str:
        """The Cookie header that a browser would send to that address, the longest paths first."""
        return str(self.http.prepare_request(requests.Request("GET", url)).headers.get("Cookie", ""))

    def _xsrf(self, path: str) -> str:
        """The XSRF token that JupyterHub expects with each change, from the cookie that matches ``path`` best."""
        cookies = (cookie.strip().partition("=") for cookie in self._cookies(self.origin(path) + path).split(";"))
        return next((value.strip('"') for name, _, value in cookies if name == "_xsrf"), "")

    def sign_in(self, password: str) -> None:
        """Sign in with the hub's own form."""
        self.get("/hub/login")
        page = self._request(
            "POST",
            "/hub/login",
            data={
                "username": self.username,
                "password": password,
                "_xsrf": self._xsrf("/hub/"),
            },
            allow_redirects=False,
        )
        if page.status_code != 302:
            raise HubFailure(f"signing in as {self.username} was refused (HTTP {page.status_code})")

    def sign_out(self) -> None:
        """Sign out with the hub's own form."""
        self.get("/hub/logout")
        self._request("POST", "/hub/logout", data={"_xsrf": self._xsrf("/hub/")})

    def start_server(self) -> None:
        """Request a server and follow the hub's progress stream, as a browser does, until it is ready."""
        page = self.get("/hub/spawn")
        if page.status_code >= 400:
            why = _WHY.search(page.text)
            said = f": {html.unescape(why[1]).strip()}" if why else f" (HTTP {page.status_code})"
            raise HubFailure(f"the hub would not start a server{said}")
        if f"/user/{self.username}/" not in page.url:
            self._wait_for_spawn()
        page = self.get(f"/user/{self.username}/lab")
        if page.status_code != 200:
            raise HubFailure(f"the server started but shows HTTP {page.status_code}")

    def _wait_for_spawn(self) -> None:
        stream = self.get(
            f"/hub/api/users/{self.username}/server/progress",
            stream=True,
            timeout=SILENT_SECONDS,
            headers={"Referer": f"{self.base}/hub/"},
        )
        if stream.status_code != 200:
            raise HubFailure(f"the hub gives no news of the server (HTTP {stream.status_code})")
        deadline, last = time.monotonic() + QUEUE_SECONDS + SPAWN_SECONDS, ""
        try:
            for line in stream.iter_lines(decode_unicode=True):
                if time.monotonic() > deadline:
                    break
                if not line or not line.startswith("data:"):
                    continue
                event = json.loads(line.removeprefix("data:"))
                if event.get("failed"):
                    raise HubFailure(f"the server did not start: {event.get('message', 'no reason given')}")
                if event.get("ready"):
                    return
                last = f": {event.get('message')}"
        except requests.RequestException as error:
            raise HubFailure(f"the hub's news of the server ended: {cause_of(error)}") from error
        finally:
            stream.close()
        raise HubFailure(f"the server did not become ready{last}")

    def stop_server(self) -> None:
        """Stop the person's server. It is not an error if none runs."""
        self.get("/hub/home")
        self._request(
            "DELETE",
            f"/hub/api/users/{self.username}/server",
            timeout=SPAWN_SECONDS,
            headers={"X-XSRFToken": self._xsrf("/hub/"), "Referer": f"{self.base}/hub/home"},
        )

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request to the person's Jupyter server, below ``/user/NAME``."""
        full = f"/user/{self.username}{path}"
        headers = {"X-XSRFToken": self._xsrf(full), "Referer": self.origin(full)}
        answer = self._request(method, full, headers=headers, **options)
        if answer.status_code >= 400:
            raise HubFailure(f"{method} {path} on the server failed (HTTP {answer.status_code})")
        return answer

    @contextlib.contextmanager
    def kernel(self, language: str = "python3") -> Iterator[Kernel]:
        """A new kernel (Python, or the given kernelspec), which is shut down at the end of the block."""
        started = self.api("POST", "/api/kernels", json={"name": language}, timeout=KERNEL_SECONDS).json()
        kernel = Kernel(self, started["id"])
        try:
            yield kernel
        finally:
            with contextlib.suppress(HubFailure):
                self.api("DELETE", f"/api/kernels/{kernel.id}")

    def websocket(self, path: str) -> websocket.WebSocket:
        """A websocket to the person's server, verified like every request."""
        context = ssl.create_default_context(cafile=self._ca)
        connection = websocket.WebSocket(sslopt={"context": context})
        base = self.origin(path)
        try:
            connection.connect(  # type: ignore[no-untyped-call]
                f"wss://{urlsplit(base).netloc}{path}",
                cookie=self._cookies(base + path),
                origin=base,
                timeout=KERNEL_SECONDS,
            )
        except (OSError, websocket.WebSocketException) as error:
            raise HubFailure(f"the websocket to the kernel does not open ({type(error).__name__})") from error
        return connection


class Kernel:
    """A kernel of a person's server. Each call opens its own websocket, so it survives a restart of the hub."""

    def __init__(self, client: HubClient, kernel_id: str) -> None:
        self.client = client
        self.id = kernel_id

    def run(self, code: str, seconds: float = KERNEL_SECONDS) -> str:
        """Run ``code``; return its output or its value as text. Raises HubFailure for an error or a dead kernel."""
        message = uuid.uuid4().hex
        with contextlib.closing(
            self.client.websocket(f"/user/{self.client.username}/api/kernels/{self.id}/channels")
        ) as connection:
            connection.settimeout(seconds)
            try:
                connection.send(
                    json.dumps(
                        {
                            "header": {
                                "msg_id": message,
                                "msg_type": "execute_request",
                                "username": self.client.username,
                                "session": uuid.uuid4().hex,
                                "version": "5.3",
                                "date": "",
                            },
                            "parent_header": {},
                            "metadata": {},
                            "channel": "shell",
                            "buffers": [],
                            "content": {
                                "code": code,
                                "silent": False,
                                "store_history": False,
                                "user_expressions": {},
                                "allow_stdin": False,
                                "stop_on_error": True,
                            },
                        }
                    )
                )
            except (OSError, websocket.WebSocketException) as error:
                raise HubFailure(f"the kernel stopped answering ({type(error).__name__})") from error
            return self._collect(connection, message, time.monotonic() + seconds)

    def _collect(self, connection: websocket.WebSocket, message: str, deadline: float) -> str:
        printed: list[str] = []
        while time.monotonic() < deadline:
            try:
                answer = json.loads(connection.recv())
            except (OSError, ValueError, websocket.WebSocketException) as error:
                raise HubFailure(f"the kernel stopped answering ({type(error).__name__})") from error
            kind, content = answer["msg_type"], answer["content"]
            if kind == "status" and content["execution_state"] in ("restarting", "dead"):
                raise HubFailure("the kernel died")
            if answer["parent_header"].get("msg_id") != message:
                continue
            if kind == "stream":
                printed.append(content["text"])
            elif kind == "execute_result":
                printed.append(content["data"]["text/plain"])
            elif kind == "error":
                raise HubFailure(f"{content['ename']}: {content['evalue']}")
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(printed).strip()
        raise HubFailure("the kernel did not answer in time")
