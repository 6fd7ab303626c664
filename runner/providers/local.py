"""The local cloud as one of the providers: it speaks DigitalOcean's API, and its servers are on this computer."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner import local
from runner.cloud import Authority, Cloud, Provider, tag_of
from runner.course import Course
from runner.errors import CoursehubError
from runner.local.catalog import IMAGE_NAMES, REGIONS, SIZES
from runner.local.identity import ZONE
from runner.providers.kind import Report, Seen

NAME = "the local cloud"


class LocalAccount(Cloud):
    """The account of a running local cloud; ``state`` is its working copy's state directory."""

    costs = False
    containers = True

    def __init__(self, here: local.LocalCloud, state: Path) -> None:
        super().__init__(NAME, here.endpoint, here.token)
        self._here = here
        self._state = state

    @property
    def authority(self) -> Authority | None:
        """pebble, and the authority that signed pebble's own HTTPS certificate."""
        extra = {"coursehub-local-acme": self._here.acme_ca.read_text("ascii")}
        return Authority(self._here.acme_directory, self._here.ca_bundle, extra)

    def prepare(self, image: str, report: Report) -> None:
        """Prepare the base image, so that the order need not wait for it."""
        local.prepare_image(image, report)

    def need_room(self) -> None:
        """Refuse a server if this computer's disk has no room for it."""
        local.need_room()

    def name_taken(self, hostname: str) -> str | None:
        """Why a name is taken: another local cloud on this computer may use it."""
        holder = local.holder_of(self._state, hostname)
        if holder is None:
            return None
        return (
            f"{hostname} leads to a hub of another local cloud on this computer; choose another domain here, or take "
            f"that hub down first: COURSEHUB_ROOT={holder.parent} ./coursehub status"
        )

    def lead_below(self, course_id: str, hostnames: Iterable[str]) -> None:
        """Make names below a wildcard work in browsers on this computer; /etc/hosts has no wildcards."""
        local.set_names(self._state, course_id, hostnames)

    def backup_place(self, course_id: str) -> tuple[str, str]:
        """A place on this computer. It stays when the local cloud is gone."""
        place = local.backup_place(self._state, course_id)
        return place.repository(self._here.backups), place.password


class Local:
    """The local cloud of the working copy."""

    name = NAME
    costs = False
    keeps_backups = True
    name_servers: tuple[str, ...] = ()
    zone: str | None = ZONE

    def connect(self, state: Path, report: Report) -> Provider:
        """The account. The cloud is started, or restarted if its program has changed."""
        return LocalAccount(local.ensure_running(state, report), state)

    def visit(self, state: Path, report: Report) -> Provider:
        """The account of the running cloud; if its process died, it is started again."""
        return LocalAccount(local.find(state) or local.ensure_running(state, report), state)

    def seen(self, state: Path, course_id: str) -> Seen | None:
        """The course's machine, whether or not the cloud runs."""
        answers = local.find(state) is not None
        for machine in local.status(state).machines:
            if tag_of(course_id) in machine.tags:
                return Seen("active" if machine.running else "off", answers, machine.id, machine.ip, machine.size)
        return Seen("none", answers)

    def usable(self, state: Path) -> bool:
        """Whether the cloud runs."""
        return local.find(state) is not None

    def ready(self) -> str:
        """Check whether this computer can make servers. Raises CoursehubError with the reason if not."""
        if reason := local.why_unavailable():
            raise CoursehubError(reason)
        local.need_room()
        return "can make servers on this computer"

    def ca_bundle(self, state: Path) -> Path | None:
        """The certificates of its own authority; None while the cloud does not run."""
        here = local.find(state)
        return here.ca_bundle if here else None

    def mistakes(self, course: Course) -> Iterator[tuple[str, str]]:
        """Sizes, regions and images that it never has, and an address outside its zone."""
        for key, known in (("size", SIZES), ("region", REGIONS), ("image", IMAGE_NAMES)):
            value = getattr(course, key)
            if value not in known:
                near = difflib.get_close_matches(value, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
                yield key, f"{key} ({value!r}): the local cloud does not have it; {hint}"
        start = course.domain.partition(".")[0]
        if course.dns == "cloud" and not course.domain.endswith(f".{ZONE}"):
            yield (
                "domain",
                f"domain ({course.domain!r}): with cloud: local the address ends in .{ZONE}; write {start}.{ZONE}",
            )

    def tidy(self, state: Path, report: Report) -> None:
        """Stop the cloud if it has no machine any more."""
        if not local.status(state).machines:
            report("stopping the local cloud")
            local.stop(state, report)
