"""What every verb on one course starts from: the course, its cloud, and the way to its server."""

from __future__ import annotations

import difflib
import itertools
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner import course as courses
from runner import local
from runner.cloud import Cloud, Server, Zone, digitalocean_cloud, record_of, tag_of, zone_among
from runner.course import Course, People
from runner.course.hostnames import server_label, service_label
from runner.errors import USAGE, CoursehubError
from runner.hub.checks import Check, Target
from runner.packages import lock
from runner.people import people_of
from runner.people.passwords import Passwords
from runner.project import Project
from runner.saltssh import pillar
from runner.secrets import Secrets, leaks
from runner.servers import birthplace
from runner.servers.access import Access
from runner.setup import material, signin
from runner.verbs import names

#: The account that looks at the hub as a student would; it belongs to no person.
CHECK_ACCOUNT = "coursehub-check"
#: The hub's services that have pages (formulas/jupyterhub).
SERVICES = ("students-work",)
#: Bytes that a local machine needs free: base image, packages, both environments.
LOCAL_DISK = 4 * 1024**3


@dataclass(frozen=True)
class Session:
    """One course at work. ``local`` is None on DigitalOcean."""

    project: Project
    course_id: str
    course: Course
    cloud: Cloud
    local: local.LocalCloud | None

    @property
    def access(self) -> Access:
        """The way to the server by SSH."""
        return Access(self.project, self.course_id)

    @property
    def ca_bundle(self) -> Path | None:
        """What to verify the hub's certificate with; None is the system's own."""
        return self.local.ca_bundle if self.local else None

    @property
    def url(self) -> str:
        """Where students go."""
        return f"https://{self.course.domain}/"

    @cached_property
    def people(self) -> People:
        """Who is in the course; a class list is decrypted for it. Raises CoursehubError when that cannot be."""
        return people_of(self.project, self.course_id, self.course)

    def at(self, *keys: str | int) -> str:
        """``file:line`` of one of the course's keys."""
        return courses.source(self.project, self.course_id).at("course", *keys)

    def server(self, report: Callable[[str], None] | None = None) -> Server:
        """The running server. Raises CoursehubError when there is none.

        One that is off is powered on where ``report`` hears of it; without it nothing is changed, and that it is off
        is an error too.
        """
        server = self.cloud.single(self.course_id, self.access.server())
        if server is None:
            birthplace.need_account(self.cloud, self.access)
            raise no_server(self.course_id)
        if not self.access.has_keys(server):
            raise self.made_elsewhere(server)
        if self.access.has_first_host_key():
            raise CoursehubError(
                f"{self.course_id}: its up was interrupted; run 'coursehub up {self.course_id}' to go on with it"
            )
        if server.state != "active":
            if report is None:
                raise not_running(self.course_id, server.id, server.state)
            server = self.cloud.wait_active(self.course_id, server, report)
            self.access.wait_for_ssh(str(server.ip), report)
        self.access.remember(server)
        return server

    def notes(self, server: Server) -> list[str]:
        """What the course file asks of the server that this server cannot become, a line each with ``file:line``; and
        what was begun and has no end yet."""
        found = signin.notes(self.course, self.people, self.at("signin", "kind"))
        found += self._late_passwords()
        if self.access.changes_key():
            found.append(
                f"{self.course_id}: a change of the SSH key was interrupted, so the old key still opens the server; "
                f"'coursehub secrets rotate {self.course_id} ssh-key' ends it"
            )
        pairs = ((key, getattr(self.course, key), getattr(server, key)) for key in ("size", "image", "region"))
        return found + [
            f"{self.at(key)}: {key} is {wanted} here and {has} on the server; only a new server gets it: 'coursehub "
            f"down {self.course_id}' (deletes the files on it), then up. Everything else goes on"
            for key, wanted, has in pairs
            # The provider takes an image's name away once it has a newer one.
            if has and wanted != has
        ]

    def _late_passwords(self) -> list[str]:
        """Who came after the sheet of first passwords was printed."""
        if self.course.signin.kind != "password":
            return []
        accounts = [person.account for person in self.people.everyone()]
        missing = Passwords(self.project, self.course_id).not_handed_out(accounts)
        if not missing or len(missing) == len(accounts):
            return []
        verb = f"'coursehub passwords {self.course_id} --new' prints {'it' if len(missing) == 1 else 'them'}"
        if len(missing) == 1:
            return [f"{missing[0]} has a first password that was not printed yet; {verb}"]
        return [f"{len(missing)} people have a first password that was not printed yet; {verb}"]

    def made_elsewhere(self, server: Server) -> CoursehubError:
        """The error for a server whose keys are not on this computer."""
        where = self.project.shown(self.access.directory)
        who = f"by {server.made_by} (user and computer)" if server.made_by else "on another computer"
        return CoursehubError(
            f"{self.course_id}: droplet {server.id} was made {who} and its keys are not here, so nothing was changed; "
            f"copy {where} from there. If the keys are lost, delete the droplet in the control panel, with all files "
            "on it, and run this again"
        )

    def zone(self) -> Zone | None:
        """The DNS zone to write the records into; None when the teacher makes them by hand."""
        if self.course.dns == "manual":
            return None
        zone = self.cloud.zone_of(self.course.domain)
        if zone is None:
            have = ", ".join(zone.name for zone in self.cloud.zones()) or "none"
            raise CoursehubError(
                f"{self.at('domain')}: {self.cloud.name} has no DNS zone for {self.course.domain} "
                f"(there: {have}); choose a name below one, or write dns: manual and make the A record "
                "yourself",
                exit_code=USAGE,
            )
        return zone

    def ensure_records(self, server: Server) -> list[str]:
        """Point the course's names at its server, unless the teacher makes the records by hand.

        What led elsewhere is told in the lines that it returns. Raises CoursehubError for another course's name.
        """
        zone = self.zone()
        if zone and server.ip:
            self.need_names()
            notes = names.need_free(self, zone, server.ip)
            self.access.remember_names(self.course.dns_names)
            for hostname in self.course.dns_names:
                self.cloud.ensure_record(zone, record_of(hostname, server.ip))
            return notes
        return []

    def need_names(self) -> None:
        """Refuse names that another local cloud of this computer has, whose hub they lead to."""
        for hostname in self.course.hostnames if self.local else ():
            holder = local.holder_of(self.project.state, hostname)
            if holder:
                raise CoursehubError(
                    f"{self.at('domain')}: {hostname} leads to a hub of another local cloud on this computer; choose "
                    "another domain here, or take that hub down first: "
                    f"COURSEHUB_ROOT={holder.parent} ./coursehub status"
                )

    def remove_records(self, addresses: Iterable[str]) -> None:
        """Remove every record that was made for the course's server, under names that it no longer has too."""
        made = self.access.names() or (self.course.dns_names if self.course.dns == "cloud" else ())
        zones = self.cloud.zones() if made else []
        ours = [address for address in addresses if made and self.cloud.course_at(address) in (None, self.course_id)]
        for address, hostname in itertools.product(ours, made):
            zone = zone_among(zones, hostname)
            if zone:
                self.cloud.remove_record(zone, record_of(hostname, address))

    def write_pillar(self, ip: str) -> None:
        """Write what the server's pillar needs to know of this computer and of the cloud."""
        accounts = [person.account for person in self.people.everyone()]
        if self.local and self.course.subdomains:
            labels = [*map(server_label, [*accounts, CHECK_ACCOUNT]), *map(service_label, SERVICES)]
            names = [f"{label}.{self.course.domain}" for label in labels]
            local.set_names(self.project.state, self.course_id, names)
        pillar.write_runtime(
            self.project,
            self.course_id,
            pillar.runtime(
                ip=ip,
                acme_directory=self.local.acme_directory if self.local else None,
                extra_ca=self._extra_ca(),
                passwords=Passwords(self.project, self.course_id).ensure([*accounts, CHECK_ACCOUNT]),
            ),
        )

    def _extra_ca(self) -> dict[str, str]:
        if self.local is None:
            return {}
        return {**pillar.host_ca_certificates(), "coursehub-local-acme": self.local.acme_ca.read_text("ascii")}

    def target(self, server: Server) -> Target:
        """What the look from outside looks at."""
        if server.ip is None:
            raise CoursehubError(
                f"{self.course_id}: droplet {server.id} has no public address; look in the control panel"
            )
        password = Passwords(self.project, self.course_id).ensure([CHECK_ACCOUNT])[CHECK_ACCOUNT]
        uri = signin.redirect_uri(self.course) if self.course.signin.needs_secret else None
        below = f"{server_label(CHECK_ACCOUNT)}.{self.course.domain}" if self.course.subdomains else ""
        return Target(self.course.hostnames, server.ip, self.ca_bundle, CHECK_ACCOUNT, password.clear, uri, below)


def connect(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """Read and validate the course, then reach its cloud (the local one is started)."""
    leaks.refuse(project)
    course = birthplace.load(project, course_id)
    if course.cloud == "local":
        return _locally(project, course_id, course, local.ensure_running(project.state, report))
    return Session(project, course_id, course, digitalocean_cloud(), None)


def reach(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """The same for verbs that need a server: no local cloud is started for a course that has none."""
    if nothing_here(project, course_id, birthplace.load(project, course_id)):
        raise no_server(course_id)
    return connect(project, course_id, report)


def nothing_here(project: Project, course_id: str, course: Course) -> bool:
    """Whether the local cloud would be started only to be asked for what is not there."""
    return course.cloud == "local" and not local.find(project.state) and not local_machine(project, course_id)


def visit(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """The same for verbs that change nothing: no machine is made or booted by it.

    A local cloud that died while the course's machine lives is started again, as the verbs ask it for the machine.
    Raises CoursehubError when there is no such machine.
    """
    leaks.refuse(project)
    course = birthplace.load(project, course_id)
    if course.cloud == "digitalocean":
        return Session(project, course_id, course, digitalocean_cloud(), None)
    here = local.find(project.state)
    if here is None:
        machine = local_machine(project, course_id)
        if machine is None:
            raise no_server(course_id)
        if not machine.running:
            raise not_running(course_id, machine.id, "off")
        here = local.ensure_running(project.state, report)
    return _locally(project, course_id, course, here)


def _locally(project: Project, course_id: str, course: Course, here: local.LocalCloud) -> Session:
    return Session(project, course_id, course, Cloud("the local cloud", here.endpoint, here.token), here)


def local_machine(project: Project, course_id: str) -> local.Machine | None:
    """The course's machine of the local cloud, whether that runs or not."""
    machines = local.status(project.state).machines
    return next((machine for machine in machines if tag_of(course_id) in machine.tags), None)


class NoServer(CoursehubError):
    """The course has no server."""


def no_server(course_id: str) -> NoServer:
    """The error of a verb that needs a server."""
    return NoServer(f"{course_id} has no server; run 'coursehub up {course_id}'")


def not_running(course_id: str, droplet_id: int, state: str) -> CoursehubError:
    """The error of a verb that needs the server to run and may not power it on."""
    return CoursehubError(f"{course_id}: droplet {droplet_id} is {state}; run 'coursehub up {course_id}'")


def need_disk() -> None:
    """Refuse to order a local machine that this computer has no room for."""
    free = shutil.disk_usage("/var/lib").free
    if free < LOCAL_DISK:
        raise CoursehubError(
            f"/var/lib has {free / 1024**3:.1f} GiB free and the local cloud needs "
            f"{LOCAL_DISK / 1024**3:.0f}; delete something there, or use cloud: digitalocean"
        )


def ensure_lock(session: Session) -> None:
    """Lock the course's packages at the first use; refuse a lock that does not fit them any more."""
    line = courses.source(session.project, session.course_id).line(("course", "packages"))
    lock.ensure_lock(session.course_id, session.course.locked_packages, session.project.root, line=line)


def need_signin(session: Session) -> None:
    """Refuse a kind of sign-in that lacks something before anything is made."""
    secrets = Secrets(session.project, session.course_id)
    signin.need(session.course, session.people, secrets, session.at("signin", "kind"))


def need_material(session: Session) -> None:
    """Refuse a private repository without a deploy key that is one before anything is made."""
    secrets = Secrets(session.project, session.course_id)
    material.need(session.course, session.course_id, secrets, session.at("material", "repositories"))


def not_right(course_id: str, check: Check, document: dict[str, Any] | None = None) -> CoursehubError:
    """The error of a hub that runs and is not what a student needs."""
    return CoursehubError(
        f"{course_id}: the hub runs but {check.name} is not right: {check.detail}; 'coursehub logs {course_id}' shows "
        "what the hub says",
        document=document,
    )


def all_of(failures: list[CoursehubError], document: dict[str, Any]) -> CoursehubError:
    """One error for several courses' with the document of all."""
    more = f" ({len(failures) - 1} more failed, see above)" if len(failures) > 1 else ""
    return CoursehubError(
        f"{failures[0]}{more}", exit_code=max(failure.exit_code for failure in failures), document=document
    )


def check_order(session: Session) -> None:
    """Refuse a size, image or region that the cloud does not have, there, before anything is made."""
    cloud, course = session.cloud, session.course
    sizes, images = cloud.sizes(), cloud.images()
    _need(session, "region", cloud.regions())
    _need(session, "size", sizes)
    _need(session, "image", images)
    for key, regions in (("size", sizes[course.size].regions), ("image", images[course.image])):
        if course.region not in regions:
            there = ", ".join(sorted(regions)) or "no region at all"
            raise CoursehubError(
                f"{session.at(key)}: {cloud.name} has {key} {getattr(course, key)!r} not in {course.region} but in "
                f"{there}; choose another {key} or region",
                exit_code=USAGE,
            )


def _need(session: Session, key: str, known: Iterable[str]) -> None:
    value, known = getattr(session.course, key), list(known)
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"
        raise CoursehubError(f"{session.at(key)}: {session.cloud.name} has no {key} {value!r}; {hint}", exit_code=USAGE)
