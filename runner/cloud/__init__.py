"""The only room that knows a cloud's API: python-digitalocean behind a small interface.

The embedded local cloud speaks the same API, so there is one code path; only endpoint and token differ.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import digitalocean
import requests
from digitalocean.baseapi import GET, REQUEST_TIMEOUT_ENV_VAR, BaseAPI, Error, NotFoundError

from runner.errors import USAGE, CoursehubError

DIGITALOCEAN = "https://api.digitalocean.com/v2/"
#: Everything that this program makes carries this tag, and one for its course.
TAG = "coursehub"
#: Seconds that one HTTP request may take; python-digitalocean itself would wait for ever.
REQUEST_SECONDS = 20
#: Tries of one request before giving up, with pauses that double from half a second and carry jitter.
TRIES = 6
#: Seconds that a Retry-After is followed for at most; a class waits.
LONGEST_WAIT = 60.0
#: Droplets are usable within a minute; past this the create has failed whatever the API says.
BOOT_SECONDS = 300

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """A droplet: ``id`` is the cloud's, ``state`` its word (new, active, off, archive)."""

    id: int
    name: str
    ip: str | None
    size: str
    image: str
    region: str
    state: str


@dataclass(frozen=True)
class Zone:
    """A DNS zone of the account, such as example.edu."""

    name: str

    def label(self, hostname: str) -> str:
        """``hostname`` as a record's name in this zone (``@`` for the zone itself)."""
        return "@" if hostname == self.name else hostname.removesuffix(f".{self.name}")


def zone_among(zones: Iterable[Zone], hostname: str) -> Zone | None:
    """The zone that ``hostname`` belongs to, the longest match, or None."""
    fitting = [zone for zone in zones if hostname == zone.name or hostname.endswith(f".{zone.name}")]
    return max(fitting, key=lambda zone: len(zone.name), default=None)


class _ApiError(Exception):
    """One failed request: ``status`` is None where there was no usable answer."""

    def __init__(self, message: str, status: int | None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def tag_of(course_id: str) -> str:
    """The tag that finds the course's droplet again on any machine."""
    return f"{TAG}:{course_id}"


class Cloud:
    """A DigitalOcean account, or the local cloud's.

    ``name`` is what the user calls it. Methods raise CoursehubError with one line; the token is in none of them.
    """

    def __init__(self, name: str, endpoint: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._endpoint = endpoint
        self._token = token
        self._sleep = sleep
        # The library has no other way to be told.
        os.environ[REQUEST_TIMEOUT_ENV_VAR] = str(REQUEST_SECONDS)

    # -- one request -------------------------------------------------------------------------------------

    def _once(self, call: Callable[[], T]) -> T:
        """Run one call of the library and turn each way it can fail into an _ApiError or a CoursehubError."""
        _answers.note(None)
        try:
            return call()
        except NotFoundError as error:
            raise _ApiError("not found", 404) from error
        except requests.RequestException as error:
            raise _ApiError(f"no answer ({type(error).__name__})", None) from error
        except (Error, IndexError, KeyError, TypeError, ValueError) as error:
            raise _ApiError(str(error) or type(error).__name__, _answers.status, _answers.retry_after) from error

    def _call(self, what: str, call: Callable[[], T], *, repeat: bool = True) -> T:
        """Run ``call`` until it succeeds; ``repeat=False`` repeats only what the API surely did not do (429)."""
        pause = 0.5
        for attempt in range(1, TRIES + 1):
            try:
                return self._once(call)
            except _ApiError as error:
                limited = error.status == 429
                transient = limited or error.status is None or error.status >= 500
                if not transient or attempt == TRIES or not (repeat or limited):
                    raise self._explain(what, error) from error
                # Jitter: twenty teachers whose class starts at nine must not come back in step.
                self._sleep(error.retry_after or pause * random.uniform(0.5, 1.5))  # noqa: S311
                pause *= 2
        raise AssertionError("unreachable")

    def _explain(self, what: str, error: _ApiError) -> CoursehubError:
        if error.status in (401, 403):
            return CoursehubError(
                f"{self.name} refused the token ({error.status}) while {what}; make a new one with read and write "
                "access and put it into DIGITALOCEAN_ACCESS_TOKEN"
            )
        if error.status == 422:
            return CoursehubError(f"{self.name} refused while {what}: {error}; nothing was done")
        if error.status == 404:
            return _NotFound(f"{self.name}: not found while {what}")
        word = f"HTTP {error.status}" if error.status else str(error)
        return CoursehubError(f"{self.name} failed while {what}: {word}; run the same command again in a minute")

    def _manager(self) -> Any:
        return digitalocean.Manager(token=self._token, end_point=self._endpoint)

    def _get(self, what: str, path: str, **params: Any) -> Any:
        def call() -> Any:
            return BaseAPI(token=self._token, end_point=self._endpoint).get_data(path, type=GET, params=dict(params))

        return self._call(what, call)

    # -- what can be ordered -----------------------------------------------------------------------------

    def sizes(self) -> dict[str, float]:
        """Size slugs with their price in US dollars a month."""
        data = self._get("reading the sizes", "sizes/")
        return {size["slug"]: float(size["price_monthly"]) for size in data["sizes"] if size["available"]}

    def regions(self) -> list[str]:
        """Slugs of the regions that take new droplets."""
        return [
            region["slug"] for region in self._get("reading the regions", "regions/")["regions"] if region["available"]
        ]

    def zones(self) -> list[Zone]:
        """The account's DNS zones."""
        return [Zone(domain["name"]) for domain in self._get("reading the DNS zones", "domains/")["domains"]]

    def zone_of(self, hostname: str) -> Zone | None:
        """The zone that ``hostname`` belongs to, the longest match, or None."""
        return zone_among(self.zones(), hostname)

    # -- keys --------------------------------------------------------------------------------------------

    def ensure_key(self, name: str, public_key: str) -> int:
        """The id of the account's SSH key ``public_key``, made when it is not there."""
        wanted = public_key.split()[:2]

        def find() -> int | None:
            for key in self._get("reading the SSH keys", "account/keys/")["ssh_keys"]:
                if key["public_key"].split()[:2] == wanted:
                    return int(key["id"])
            return None

        def create() -> int:
            key = digitalocean.SSHKey(token=self._token, end_point=self._endpoint, name=name, public_key=public_key)
            key.create()
            return int(key.id)

        found = find()
        if found is not None:
            return found
        try:
            return self._call("storing the SSH key", create, repeat=False)
        except CoursehubError:
            # The answer may have been lost after the key was stored.
            found = find()
            if found is None:
                raise
            return found

    def remove_keys(self, name: str) -> None:
        """Remove the account's SSH keys of this name."""
        for key in self._get("reading the SSH keys", "account/keys/")["ssh_keys"]:
            if key["name"] == name:
                self._delete("removing the SSH key", f"account/keys/{key['id']}")

    # -- droplets ----------------------------------------------------------------------------------------

    def find(self, course_id: str) -> list[Server]:
        """The course's droplets (one, none, or more after something went wrong), oldest first."""
        droplets = self._call(
            "looking for the droplet", lambda: self._manager().get_all_droplets(tag_name=tag_of(course_id))
        )
        return sorted((_server(droplet) for droplet in droplets), key=lambda server: server.id)

    def ensure_server(
        self, course_id: str, *, name: str, size: str, image: str, region: str, key_id: int, user_data: str
    ) -> tuple[Server, bool]:
        """The course's droplet, made when there is none; the second value says whether it was made now.

        A create whose answer was lost is looked for by its tag and adopted: never a second droplet.
        """
        found = self.single(course_id)
        if found is not None:
            return found, False

        def create() -> None:
            digitalocean.Droplet(
                token=self._token,
                end_point=self._endpoint,
                name=name,
                size_slug=size,
                image=image,
                region=region,
                ssh_keys=[key_id],
                user_data=user_data,
                tags=[TAG, tag_of(course_id)],
                monitoring=True,
            ).create()

        try:
            self._call("making the droplet", create, repeat=False)
        except CoursehubError:
            for _ in range(3):
                found = self.single(course_id)
                if found is not None:
                    return found, True
                self._sleep(2)
            raise
        found = self.single(course_id)
        if found is None:
            raise CoursehubError(
                f"{self.name} took the order but lists no droplet tagged {tag_of(course_id)}; "
                "run the same command again in a minute"
            )
        return found, True

    def single(self, course_id: str) -> Server | None:
        """The course's droplet or None. Raises CoursehubError when there are several."""
        found = self.find(course_id)
        if len(found) > 1:
            ids = ", ".join(str(server.id) for server in found)
            raise CoursehubError(
                f"{self.name} has {len(found)} droplets for {course_id} ({ids}); look which one the "
                "class uses and delete the others in the control panel"
            )
        return found[0] if found else None

    def wait_active(self, course_id: str, progress: Callable[[str], None]) -> Server:
        """Wait until the course's droplet runs and has an address; power it on when it is off."""
        deadline = time.monotonic() + BOOT_SECONDS
        pause = 0.3
        powered = False
        while True:
            server = self.single(course_id)
            if server is None:
                raise CoursehubError(
                    f"{self.name}: the droplet of {course_id} is gone; run 'coursehub up {course_id}' again"
                )
            if server.state == "active" and server.ip:
                return server
            if server.state == "off" and not powered:
                self._power_on(server)
                powered = True
            progress(f"droplet {server.id} is {server.state}")
            if time.monotonic() > deadline:
                raise self._stuck(course_id, server)
            self._sleep(pause)
            pause = min(pause * 1.5, 5)

    def _stuck(self, course_id: str, server: Server) -> CoursehubError:
        is_still = f"{self.name}: droplet {server.id} is still {server.state!r} after {BOOT_SECONDS} s"
        if server.state == "new":
            return CoursehubError(f"{is_still} and costs money; run 'coursehub down {course_id}', then up")
        # Its files are the students' work: nobody shall be sent to delete them.
        return CoursehubError(
            f"{is_still}, though it was powered on; look at it in the control panel, then run the same command again"
        )

    def _power_on(self, server: Server) -> None:
        self._call(
            "powering on",
            lambda: digitalocean.Droplet(token=self._token, end_point=self._endpoint, id=server.id).power_on(),
        )

    def destroy(self, server: Server) -> None:
        """Delete the droplet; one that is gone already is fine."""
        self._delete("deleting the droplet", f"droplets/{server.id}")

    def _delete(self, what: str, path: str) -> None:
        def call() -> Any:
            return BaseAPI(token=self._token, end_point=self._endpoint).get_data(path, type="DELETE")

        try:
            self._call(what, call)
        except _NotFound:
            return

    # -- DNS ---------------------------------------------------------------------------------------------

    def ensure_record(self, zone: Zone, hostname: str, ip: str) -> bool:
        """Point ``hostname`` at ``ip`` with one A record; True when something changed."""
        label = zone.label(hostname)
        records = self._records(zone, hostname)
        right = [record for record in records if record["data"] == ip]
        for record in records:
            if record not in right[:1]:
                self._delete("removing an old DNS record", f"domains/{zone.name}/records/{record['id']}")
        if right:
            return len(records) > 1
        domain = digitalocean.Domain(token=self._token, end_point=self._endpoint, name=zone.name)
        # Five minutes: next term's server has the same name, and students must not be sent to the old one.
        self._call(
            f"pointing {hostname} at {ip}",
            lambda: domain.create_new_domain_record(type="A", name=label, data=ip, ttl=300),
        )
        return True

    def remove_record(self, zone: Zone, hostname: str, ip: str) -> None:
        """Remove the A records of ``hostname`` that point at ``ip``; others are not ours."""
        for record in self._records(zone, hostname):
            if record["data"] == ip:
                self._delete("removing the DNS record", f"domains/{zone.name}/records/{record['id']}")

    def _records(self, zone: Zone, hostname: str) -> list[dict[str, Any]]:
        data = self._get("reading the DNS records", f"domains/{zone.name}/records", type="A", name=hostname)
        label = zone.label(hostname)
        return [record for record in data["domain_records"] if record["type"] == "A" and record["name"] == label]


class _NotFound(CoursehubError):
    """The thing asked for is not there."""


class _Answers(threading.local):
    """The last HTTP answer of this thread, of which python-digitalocean throws all but the message away."""

    status: int | None = None
    retry_after: float | None = None

    def note(self, response: requests.Response | None) -> None:
        wait = response.headers.get("Retry-After", "") if response is not None else ""
        self.status = response.status_code if response is not None else None
        self.retry_after = min(float(wait), LONGEST_WAIT) if wait.isdigit() else None


_answers = _Answers()
_send = requests.Session.send


def _noting_send(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    response = _send(session, request, **options)
    _answers.note(response)
    return response


# The library calls requests.post() and a session of its own by turns: this is the one place that both pass.
requests.Session.send = _noting_send  # type: ignore[method-assign,assignment]


def _server(droplet: Any) -> Server:
    ip = next((net["ip_address"] for net in droplet.networks["v4"] if net["type"] == "public"), None)
    return Server(
        id=int(droplet.id),
        name=droplet.name,
        ip=ip,
        size=droplet.size_slug,
        image=(droplet.image or {}).get("slug") or "",
        region=(droplet.region or {}).get("slug") or "",
        state=droplet.status,
    )


def digitalocean_cloud() -> Cloud:
    """DigitalOcean with the token of DIGITALOCEAN_ACCESS_TOKEN. Raises CoursehubError (2) without one."""
    token = os.environ.get("DIGITALOCEAN_ACCESS_TOKEN", "")
    if not token:
        raise CoursehubError(
            "cloud: digitalocean needs a token: make one in the control panel (API, Tokens) and set "
            "DIGITALOCEAN_ACCESS_TOKEN, or write cloud: local",
            exit_code=USAGE,
        )
    return Cloud("DigitalOcean", os.environ.get("DIGITALOCEAN_END_POINT", DIGITALOCEAN), token)
