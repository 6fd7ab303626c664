"""A DigitalOcean account by python-digitalocean, behind a small interface.

The embedded local cloud speaks the same API, so there is one code path; only endpoint and token differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from runner.cloud.around import Around
from runner.cloud.calls import Calls, Droplet, NotFound, Refused, SSHKey, Unanswered
from runner.cloud.claims import Claims
from runner.cloud.health import Health
from runner.cloud.model import TAG, Authority, DnsRecord, Order, Server, Size, Zone, maker, maker_tag, tag_of
from runner.cloud.others import Others
from runner.cloud.reading import carriers, droplet_of, made_at, public_address
from runner.cloud.records import Records
from runner.errors import CoursehubError

#: Droplets are usable within a minute. After this time the create has failed, whatever the API says.
BOOT_SECONDS = 300.0
#: Seconds for which a new droplet may be missing from lists (observed with the real API: a few).
LATE_SECONDS = 30.0
#: Seconds until the API must have removed a deleted droplet.
GONE_SECONDS = 120.0
#: Seconds between two polls of a droplet.
PAUSE = 1.0


class Cloud:
    """A DigitalOcean account. The local cloud's is ``runner.providers.local.LocalAccount``.

    ``name`` is the user's name for it. Methods raise CoursehubError with one line; no error contains the token.
    """

    costs = True
    containers = False

    def __init__(self, name: str, endpoint: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._calls = Calls(name, endpoint, token, sleep)
        self._records = Records(self._calls)
        self.health = Health(self._calls)
        self.around = Around(self._calls)
        self.claims = Claims(self._calls)
        self.others = Others(self._calls)

    @property
    def authority(self) -> Authority | None:
        """None: Let's Encrypt."""
        return None

    def prepare(self, image: str, progress: Callable[[str], None]) -> None:
        """Nothing to do: the images exist."""

    def need_room(self) -> None:
        """Nothing to check: the provider refuses an order if it has no room."""

    def name_taken(self, hostname: str) -> str | None:
        """None: ``targets`` shows where a name points."""
        return None

    def lead_below(self, course_id: str, hostnames: Iterable[str]) -> None:
        """Nothing to do: a wildcard record works for everybody."""

    def backup_place(self, course_id: str) -> tuple[str, str] | None:
        """None: backups are the course file's matter."""
        return None

    def sizes(self) -> dict[str, Size]:
        """The sizes that can be ordered, by slug."""
        found = self._calls.entries("reading the sizes", "sizes", "sizes")
        return {
            size["slug"]: Size(
                slug=size["slug"],
                price_monthly=float(size["price_monthly"]),
                price_hourly=float(size["price_hourly"]),
                regions=tuple(size["regions"]),
                memory=int(size["memory"]),
                vcpus=int(size["vcpus"]),
            )
            for size in found
            if size["available"]
        }

    def regions(self) -> list[str]:
        """Slugs of the regions that take new droplets."""
        return [
            region["slug"]
            for region in self._calls.entries("reading the regions", "regions", "regions")
            if region["available"]
        ]

    def images(self) -> dict[str, tuple[str, ...]]:
        """The operating systems that can be ordered: slug, and the regions that have it."""
        found = self._calls.entries("reading the images", "images", "images", type="distribution")
        return {image["slug"]: tuple(image["regions"]) for image in found if image["slug"]}

    def ensure_key(self, name: str, public_key: str) -> int:
        """The id of the account's SSH key ``public_key``, which is stored if necessary."""
        wanted = public_key.split()[:2]

        def find() -> int | None:
            for key in self._keys():
                if key["public_key"].split()[:2] == wanted:
                    return int(key["id"])
            return None

        def create() -> int:
            key = self._calls.bound(SSHKey, name=name, public_key=public_key)
            key.create()
            return int(key.id)

        found = find()
        if found is not None:
            return found
        try:
            return self._calls.run("storing the SSH key", create, repeat=False)
        except (Unanswered, Refused):
            # The key may have been stored although the answer was lost.
            found = find()
            if found is None:
                raise
            return found

    def remove_keys(self, name: str) -> None:
        """Remove the account's SSH keys with this name."""
        for key in self._keys():
            if key["name"] == name:
                self._calls.delete("removing the SSH key", f"account/keys/{key['id']}")

    def _keys(self) -> list[dict[str, Any]]:
        return self._calls.entries("reading the SSH keys", "account/keys", "ssh_keys")

    def get(self, server_id: int) -> Server | None:
        """The droplet with this id, or None. Correct at once, while lists may be late."""
        try:
            return self._calls.get("looking at the droplet", f"droplets/{server_id}", then=droplet_of)
        except NotFound:
            return None

    def find(self, course_id: str, known: Server | None = None) -> list[Server]:
        """The course's droplets, oldest first: one, none, or more if something went wrong.

        ``known`` is the droplet that this computer remembers: a list may not contain it yet. A list may also still
        contain deleted droplets, so each is looked up by its id.
        """
        listed = self._calls.entries("looking for the droplet", "droplets", "droplets", tag_name=tag_of(course_id))
        wanted = {int(droplet["id"]) for droplet in listed}
        found = [server for number in sorted(wanted) if (server := self.get(number))]
        if known and known.id not in wanted and (server := self._still_ours(course_id, known)):
            found.append(server)
        return sorted(found, key=lambda server: server.id)

    def course_at(self, ip: str) -> str | None:
        """The course whose droplet has the address ``ip``; None if it is not one of our droplets."""
        droplets = self._calls.entries("looking whose an address is", "droplets", "droplets", tag_name=TAG)
        for droplet in droplets:
            networks = droplet.get("networks") or {}
            if ip in (public_address(networks.get("v4")), public_address(networks.get("v6"))):
                tags = (tag.removeprefix(f"{TAG}:") for tag in droplet["tags"] if tag.startswith(f"{TAG}:"))
                return next(tags, None)
        return None

    def all_of_ours(self) -> list[tuple[str, Server]]:
        """Every droplet with our tag, each with its course (empty if its tags do not say)."""
        listed = self._calls.entries("looking for our droplets", "droplets", "droplets", tag_name=TAG)
        found = []
        for droplet in sorted(listed, key=lambda one: int(one["id"])):
            if server := self.get(int(droplet["id"])):
                tags = (tag.removeprefix(f"{TAG}:") for tag in droplet["tags"] if tag.startswith(f"{TAG}:"))
                found.append((next(tags, ""), server))
        return found

    def keys_of_ours(self) -> list[str]:
        """The names of our SSH keys in the account."""
        return sorted(key["name"] for key in self._keys() if key["name"].startswith(f"{TAG}-"))

    def _still_ours(self, course_id: str, known: Server) -> Server | None:
        """The droplet with a remembered id, unless another account uses that id for another course's droplet."""

        def read(data: Any) -> tuple[Server, list[str]]:
            return droplet_of(data), data["droplet"]["tags"]

        try:
            server, tags = self._calls.get("looking at the droplet", f"droplets/{known.id}", then=read)
        except NotFound:
            return None
        # Tags are applied after the create.
        untagged = not any(tag.startswith(f"{TAG}:") for tag in tags)
        return server if tag_of(course_id) in tags or (untagged and server.name == known.name) else None

    def single(self, course_id: str, known: Server | None = None) -> Server | None:
        """The course's droplet, or None. Raises CoursehubError if there are several."""
        found = self.find(course_id, known)
        if len(found) > 1:
            raise CoursehubError(self.several(course_id, found))
        return found[0] if found else None

    def several(self, course_id: str, found: list[Server]) -> str:
        """One line that says what to do about several droplets of one course."""
        ids = ", ".join(str(server.id) for server in found)
        return (
            f"{self.name} has {len(found)} droplets for {course_id} ({ids}); look which one the class uses and delete "
            "the others in the control panel"
        )

    def order(self, order: Order, *, key_id: int, user_data: str) -> Server:
        """Order a droplet. It exists when this returns, though not yet in every list.

        Raises Refused if it was not made, and Unanswered if nobody knows; then ``ordered`` finds it.
        """
        droplet = self._calls.bound(
            Droplet,
            name=order.name,
            size_slug=order.size,
            image=order.image,
            region=order.region,
            ssh_keys=[key_id],
            user_data=user_data,
            tags=[TAG, tag_of(order.course_id), maker_tag(maker())],
            monitoring=True,
            ipv6=True,
        )

        def create() -> int:
            try:
                droplet.create()
            except (KeyError, IndexError, TypeError):
                # The library sets the id first, then an action that nobody here waits for.
                if not isinstance(droplet.id, int):
                    raise
            return int(droplet.id)

        number = self._calls.run("making the droplet", create, repeat=False)
        return Server(number, order.name, None, order.size, order.image, order.region, "new", maker())

    def ordered(
        self, course_id: str, name: str, began: float, sent: float, progress: Callable[[str], None]
    ) -> Server | None:
        """The droplet of an order whose answer was lost, or None once it would have to be in the lists.

        ``began`` is when the order began, ``sent`` when it was last sent (seconds since 1970). Tags are applied late,
        so the name counts too.
        """
        while True:
            found = self.find(course_id) or [
                server
                for droplet in self._calls.entries("looking for the droplet", "droplets", "droplets", name=name)
                if droplet["name"] == name and made_at(droplet) >= began - 60
                if not any(tag.startswith(f"{TAG}:") for tag in droplet["tags"])
                if (server := self.get(int(droplet["id"])))
            ]
            if found:
                return found[-1]
            if time.time() > sent + LATE_SECONDS:
                return None
            progress("looking for a droplet that may have been ordered")
            self._calls.sleep(PAUSE)

    def wait_active(self, course_id: str, server: Server, progress: Callable[[str], None]) -> Server:
        """Wait until the droplet runs and has an address; turn it on if it is off."""
        deadline = time.monotonic() + BOOT_SECONDS
        pause = 0.3
        powered = False
        while True:
            now = self.get(server.id)
            if now is None:
                raise CoursehubError(
                    f"{self.name}: droplet {server.id} of {course_id} is gone; run 'coursehub up {course_id}' again"
                )
            if now.state == "active" and now.ip:
                return now
            if now.state == "archive":
                raise CoursehubError(
                    f"{self.name}: droplet {now.id} of {course_id} is archived, so nobody can switch it on; ask the "
                    "provider's support (a ticket in the control panel) to bring it back"
                )
            if now.state == "off" and not powered:
                self._power_on(now)
                powered = True
            progress(f"droplet {now.id} {'has no address yet' if now.state == 'active' else f'is {now.state}'}")
            if time.monotonic() > deadline:
                raise self._stuck(course_id, now)
            self._calls.sleep(pause)
            pause = min(pause * 1.5, 5)

    def _stuck(self, course_id: str, server: Server) -> CoursehubError:
        is_still = f"{self.name}: droplet {server.id} is still {server.state!r} after {BOOT_SECONDS:.0f} s"
        if server.state == "new":
            return CoursehubError(f"{is_still} and {self._price(server)}; run 'coursehub down {course_id}', then up")
        if server.state == "active":
            return CoursehubError(
                f"{self.name}: droplet {server.id} runs but has no public address after {BOOT_SECONDS:.0f} s; look at "
                "it in the control panel, then run the same command again"
            )
        # The droplet has the students' files, so the message must not suggest deleting it.
        return CoursehubError(
            f"{is_still}, though it was powered on; look at it in the control panel, then run the same command again"
        )

    def _price(self, server: Server) -> str:
        try:
            size = self.sizes().get(server.size)
        except CoursehubError:
            size = None
        return f"costs {size.price_hourly:.3f} dollars an hour" if size else "costs money"

    def _power_on(self, server: Server) -> None:
        droplet = self._calls.bound(Droplet, id=server.id)
        try:
            self._calls.run("powering on", droplet.power_on)
        except Refused:
            # It is on already: the answer to an earlier attempt was lost. If not, the wait for it reports that.
            return

    def destroy(self, server: Server, progress: Callable[[str], None]) -> None:
        """Delete the droplet and wait until the API has removed it. It is not an error if it is gone already."""
        deadline = time.monotonic() + GONE_SECONDS
        self._calls.delete("deleting the droplet", f"droplets/{server.id}")
        while self.get(server.id):
            if time.monotonic() > deadline:
                raise CoursehubError(
                    f"{self.name}: droplet {server.id} was deleted but is still there after {GONE_SECONDS:.0f} s and "
                    "may cost money; run the same command again, then look at it in the control panel"
                )
            progress(f"waiting until droplet {server.id} is gone")
            self._calls.sleep(PAUSE)

    def remove_tags(self, course_id: str, makers: Iterable[str]) -> None:
        """Remove the course's tag, and those of ``order``'s other tags that no resource uses any more."""
        self._calls.delete("removing a tag", f"tags/{tag_of(course_id)}")
        for tag in (*(maker_tag(name) for name in sorted({*makers, maker()})), TAG):
            try:
                used = self._calls.get("looking at a tag", f"tags/{tag}", then=carriers)
            except NotFound:
                continue
            if not used:
                self._calls.delete("removing a tag", f"tags/{tag}")

    def zones(self) -> list[Zone]:
        """The account's DNS zones."""
        return self._records.zones()

    def zone_of(self, hostname: str) -> Zone | None:
        """The zone that ``hostname`` belongs to (the longest match), or None."""
        return self._records.zone_of(hostname)

    def ensure_record(self, zone: Zone, record: DnsRecord) -> bool:
        """Make ``record`` the only one of its type and name; return True if something changed."""
        return self._records.ensure_record(zone, record)

    def targets(self, zone: Zone, record: DnsRecord) -> list[str]:
        """The current data of the records with ``record``'s type and name."""
        return self._records.targets(zone, record)

    def ensure_caa(self, zone: Zone, hostname: str) -> None:
        """Allow only our certificate authority for a name (CAA); records for other authorities are kept."""
        self._records.ensure_caa(zone, hostname)

    def remove_caa(self, zone: Zone, hostname: str) -> None:
        """Remove what ``ensure_caa`` made."""
        self._records.remove_caa(zone, hostname)

    def remove_record(self, zone: Zone, record: DnsRecord) -> None:
        """Remove the records with the same data as ``record``; others with its name are not ours."""
        self._records.remove_record(zone, record)
