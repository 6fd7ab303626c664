"""One request to the provider's API by python-digitalocean: repeated if that helps, explained if it fails."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import digitalocean
import requests
from digitalocean.baseapi import DELETE, GET, POST, PUT, BaseAPI, Error, NotFoundError

from runner.errors import CoursehubError

#: Time limits in seconds for connecting and for an answer; python-digitalocean itself has none.
CONNECT_SECONDS, REQUEST_SECONDS = 5.0, 20.0
#: Attempts at one request. The pauses double from half a second, with jitter.
TRIES = 6
#: Maximum number of seconds to follow the provider's own "try again later"; a class is waiting.
LONGEST_WAIT = 60.0
#: Attempts, and seconds between them, while another action runs on a droplet.
PENDING_TRIES, PENDING_PAUSE = 60, 2.0
#: Our name in the provider's logs.
USER_AGENT = "coursehub"
#: Entries per page of a list; the API's maximum.
PAGE = 200
#: The scopes that a custom token needs, named as in the control panel.
SCOPES = (
    "droplet (create, read, update, delete), ssh_key (create, read, delete), domain (create, read, delete), "
    "tag (create, read, delete), firewall (create, read, update, delete), project (create, read, update, delete), "
    "account, actions, regions, sizes and image (read)"
)

T = TypeVar("T")


class NotFound(CoursehubError):
    """The requested object does not exist (HTTP 404)."""


class Forbidden(CoursehubError):
    """The token may not do this (HTTP 403)."""


class Refused(CoursehubError):
    """The provider understood the request and refuses it (HTTP 422). ``reason`` is the provider's own sentence."""

    def __init__(self, line: str, reason: str) -> None:
        super().__init__(line)
        self.reason = reason


class Unanswered(CoursehubError):
    """Nobody knows whether the request was carried out: its answer was lost or unusable."""


class _Failure(Exception):
    """One failed attempt. ``status`` is None if there was no answer at all."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def limited(self) -> bool:
        return self.status == 429

    @property
    def pending(self) -> bool:
        """Whether another action runs on the droplet; the request can be repeated when it has ended."""
        return self.status == 422 and "pending event" in str(self).lower()

    @property
    def passing(self) -> bool:
        """Whether another attempt may succeed. An unreadable success counts as no answer."""
        return self.status is None or self.status < 400 or self.status >= 500


class _OnOurSession(BaseAPI):  # type: ignore[misc]  # the library is untyped
    """The library's requests, sent on one session of ours and without keys that have no value.

    The library uses ``requests.post`` in some places and its own sessions in others, and keeps only the message of an
    answer.
    """

    _keep: Callable[[requests.Response], None]
    #: Whether to send keys without a value: the library adds one for everything that its caller did not set.
    _exact = False

    def _BaseAPI__perform_request(
        self, url: str, type: str = GET, params: dict[str, Any] | None = None
    ) -> requests.Response:
        given = {key: value for key, value in (params or {}).items() if value is not None or self._exact}
        answer: requests.Response = self._session.request(
            type,
            urljoin(self.end_point, url),
            params=given if type == GET else None,
            data=None if type == GET else json.dumps(given),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            timeout=(CONNECT_SECONDS, REQUEST_SECONDS),
        )
        self._keep(answer)
        return answer


class Droplet(_OnOurSession, digitalocean.Droplet):  # type: ignore[misc]
    """python-digitalocean's droplet, on our session."""


class SSHKey(_OnOurSession, digitalocean.SSHKey):  # type: ignore[misc]
    """python-digitalocean's key, on our session."""


class Calls:
    """Requests to one account. ``name`` is the user's name for the cloud. No error contains the token."""

    def __init__(self, name: str, endpoint: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._endpoint = endpoint if endpoint.endswith("/") else f"{endpoint}/"
        self._token = token
        self._sleep = sleep
        self._answer: requests.Response | None = None
        self._session = requests.Session()
        self._session.headers["User-Agent"] = USER_AGENT
        # Otherwise requests would replace the token with credentials from ~/.netrc.
        self._session.auth = lambda request: request
        if urlsplit(endpoint).hostname == "127.0.0.1":
            # A campus proxy in http_proxy cannot reach the local cloud.
            self._session.trust_env = False

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    def bound(self, kind: Callable[..., T], **attributes: Any) -> T:
        """An object of the library, connected to this account."""
        return kind(
            token=self._token,
            end_point=self._endpoint,
            _session=self._session,
            _keep=self._keep,
            **attributes,
        )

    def _keep(self, answer: requests.Response) -> None:
        self._answer = answer

    # -- requests ----------------------------------------------------------------------------------------

    def get(self, what: str, path: str, then: Callable[[Any], T]) -> T:
        """Get one object and pass it to ``then``; retry an answer that it cannot read. Raises NotFound."""
        return self.run(what, lambda: then(self._data(path, GET, {})))

    def entries(self, what: str, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """All entries of a list, page by page: the library would take an error on a later page for the end."""
        found: list[dict[str, Any]] = []
        page = 1
        while True:
            some, more = self._page(what, path, key, {**params, "page": page, "per_page": PAGE})
            found += some
            if not more:
                return found
            page += 1

    def _page(self, what: str, path: str, key: str, params: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        def call() -> tuple[list[dict[str, Any]], bool]:
            data = self._data(path, GET, dict(params))
            entries = data[key]
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise TypeError(key)
            return entries, bool((data.get("links") or {}).get("pages", {}).get("next"))

        return self.run(what, call)

    def probe(self, what: str, method: str, path: str) -> None:
        """Send a request without a body and check only the status. Raises Forbidden, NotFound, Refused."""
        # One page with one entry: the library would read the whole list.
        params = {"page": 1, "per_page": 1} if method == GET else {}
        self.run(what, lambda: self.bound(_OnOurSession).get_data(path, type=method, params=dict(params)))

    def said(self, header: str) -> str | None:
        """A header of the last answer, or None."""
        return self._answer.headers.get(header) if self._answer is not None else None

    def post(self, what: str, path: str, body: dict[str, Any], *, repeat: bool = True) -> dict[str, Any]:
        """Create something, return the answer. Raises Refused, and Unanswered with ``repeat=False`` (see ``run``)."""
        return self._send(what, POST, path, body, repeat=repeat)

    def put(self, what: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Replace something and return the answer. Raises NotFound and Refused."""
        return self._send(what, PUT, path, body, repeat=True)

    def _send(self, what: str, method: str, path: str, body: dict[str, Any], *, repeat: bool) -> dict[str, Any]:
        def call() -> dict[str, Any]:
            data = self.bound(_OnOurSession, _exact=True).get_data(path, type=method, params=body)
            if not isinstance(data, dict):
                raise TypeError(path)
            return data

        return self.run(what, call, repeat=repeat)

    def delete(self, what: str, path: str) -> None:
        """Delete what is at ``path``. It is not an error if nothing is there."""
        try:
            self.run(what, lambda: self.bound(_OnOurSession).get_data(path, type=DELETE))
        except NotFound:
            return

    def _data(self, path: str, kind: str, params: dict[str, Any]) -> Any:
        data = self.bound(_OnOurSession).get_data(path, type=kind, params=params)
        if not isinstance(data, dict):
            raise TypeError(path)
        return data

    def run(self, what: str, call: Callable[[], T], *, repeat: bool = True) -> T:
        """Run ``call`` until it succeeds.

        With ``repeat=False`` it is repeated only if the API certainly did nothing (429, a pending event); a lost or
        useless answer then raises Unanswered.
        """
        pause, tries, waits = 0.5, 1, 0
        while True:
            try:
                return self._once(call)
            except _Failure as failure:
                if failure.pending and waits < PENDING_TRIES:
                    waits += 1
                    self._sleep(PENDING_PAUSE)
                    continue
                wait = self._wanted_wait() if failure.limited else None
                again = failure.limited or (failure.passing and repeat)
                if not again or tries == TRIES or (wait or 0) > LONGEST_WAIT:
                    raise self._explain(what, failure, sure=repeat) from failure
                # Jitter: twenty teachers whose classes start at nine must not retry at the same moment.
                self._sleep(wait or pause * random.uniform(0.5, 1.5))  # noqa: S311
                tries += 1
                pause *= 2

    def _once(self, call: Callable[[], T]) -> T:
        """Run one call of the library and turn each kind of failure into a _Failure."""
        self._answer = None
        try:
            return call()
        except NotFoundError as error:
            raise _Failure("not found", 404) from error
        except requests.RequestException as error:
            raise _Failure(f"no answer ({type(error).__name__})", None) from error
        except (Error, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            status = self._answer.status_code if self._answer is not None else None
            raise _Failure(self._reason() or str(error), status) from error

    def _reason(self) -> str:
        """The provider's own sentence about an error; the library crashes on an error without one."""
        if self._answer is None or self._answer.ok:
            return ""
        try:
            said = self._answer.json()["message"]
        except (KeyError, TypeError, ValueError):
            said = None
        return str(said) if said else "it does not say why"

    def _wanted_wait(self) -> float | None:
        """Seconds until the provider accepts requests again, as it says; None if it does not say."""
        headers = self._answer.headers if self._answer is not None else {}
        after, reset = headers.get("Retry-After", ""), headers.get("ratelimit-reset", "")
        if after.isdigit():
            return float(after)
        return max(float(reset) - time.time(), 1.0) if reset.isdigit() else None

    def _explain(self, what: str, failure: _Failure, *, sure: bool) -> CoursehubError:
        if failure.status == 404:
            return NotFound(f"{self.name}: not found while {what}")
        if failure.status == 422 and not failure.pending:
            return Refused(f"{self.name} refused while {what}: {failure}", str(failure))
        if failure.status == 403:
            return Forbidden(f"{self.name} {self._why(failure, what)}")
        kind = Unanswered if failure.passing and not sure else CoursehubError
        return kind(f"{self.name} {self._why(failure, what)}")

    def _why(self, failure: _Failure, what: str) -> str:
        if failure.status == 401:
            return f"refused the token (401) while {what}; make a new one and put it into DIGITALOCEAN_ACCESS_TOKEN"
        if failure.status == 403:
            return f"refused the token (403) while {what}: it may not do that; a custom token needs the scopes {SCOPES}"
        if failure.limited:
            return f"takes no more requests for now, while {what}; {self._when()}"
        if failure.pending:
            return (
                f"runs another action on the droplet, for {PENDING_TRIES * PENDING_PAUSE / 60:.0f} minutes now, while "
                f"{what}; look at it in the control panel, then run the same command again"
            )
        return f"failed while {what}: {_word(failure)}; run the same command again in a minute"

    def _when(self) -> str:
        wait = self._wanted_wait()
        if wait is None:
            return "run the same command again in a few minutes"
        at = datetime.fromtimestamp(time.time() + wait).astimezone()
        return f"run the same command again after {at:%H:%M} (in {max(round(wait / 60), 1)} minutes)"


def _word(failure: _Failure) -> str:
    if failure.status is None:
        return str(failure)
    return f"HTTP {failure.status}" if failure.status >= 400 else f"its answer (HTTP {failure.status}) makes no sense"
