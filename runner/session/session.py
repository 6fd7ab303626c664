"""One course with all that a verb needs: its file, its people, its cloud, and SSH to its server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runner import course as courses
from runner.agreed import ACCOUNTS
from runner.cloud import Provider, Server, Zone, record_of
from runner.course import Course, People
from runner.course.hostnames import server_label, service_label
from runner.errors import USAGE, CoursehubError
from runner.hub.checks import Target
from runner.people import people_of
from runner.people.passwords import Passwords
from runner.project import Project
from runner.saltssh import pillar
from runner.servers import birthplace
from runner.servers.access import Access
from runner.session.failures import made_elsewhere, no_server, not_running
from runner.setup import backup, folders, signin

#: The account with which the runner tests the hub as a student would; it belongs to nobody.
CHECK_ACCOUNT = ACCOUNTS["check"]
#: Services of the hub that have pages (formulas/jupyterhub).
SERVICES = ("students-work",)


@dataclass(frozen=True)
class Session:
    """One course and the connections to its cloud and server."""

    project: Project
    course_id: str
    course: Course
    cloud: Provider

    @property
    def access(self) -> Access:
        """SSH access to the server."""
        return Access(self.project, self.course_id)

    @property
    def ca_bundle(self) -> Path | None:
        """The file to verify the hub's certificate with; None means the system's own."""
        authority = self.cloud.authority
        return authority.bundle if authority else None

    @property
    def url(self) -> str:
        """The address that students open."""
        return f"https://{self.course.domain}/"

    @cached_property
    def people(self) -> People:
        """The people of the course; an encrypted class list is decrypted. Raises CoursehubError if that fails."""
        return people_of(self.project, self.course_id, self.course)

    def at(self, *keys: str | int) -> str:
        """``file:line`` of one of the course's keys."""
        return courses.source(self.project, self.course_id).at("course", *keys)

    def server(self, report: Callable[[str], None] | None = None) -> Server:
        """The running server. Raises CoursehubError if there is none.

        With ``report``, a server that is off is turned on, and ``report`` gets the progress. Without it, nothing is
        changed and a server that is off is an error.
        """
        server = self.cloud.single(self.course_id, self.access.server())
        if server is None:
            birthplace.need_account(self.cloud, self.access)
            raise no_server(self.course_id)
        if not self.access.has_keys(server):
            raise made_elsewhere(self.access, server)
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

    def zone(self) -> Zone | None:
        """The DNS zone for the records; None if the teacher makes them by hand."""
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

    def write_pillar(self, ip: str, changes: Mapping[str, Mapping[str, object]] | None = None) -> None:
        """Write the facts about this computer and the cloud that the server's pillar needs.

        ``changes`` are values of a formula that only this server gets, by the formula's name.
        Raises CoursehubError (2) for a repository on this computer that is none or lacks its branch.
        """
        accounts = [person.account for person in self.people.everyone()]
        if self.course.subdomains:
            labels = [*map(server_label, [*accounts, CHECK_ACCOUNT]), *map(service_label, SERVICES)]
            self.cloud.lead_below(self.course_id, [f"{label}.{self.course.domain}" for label in labels])
        authority, known = self.cloud.authority, self.access.server()
        document = pillar.runtime(
            addresses=known.addresses if known and known.ip == ip else (ip,),
            acme_directory=authority.directory if authority else None,
            extra_ca={**pillar.host_ca_certificates(), **authority.extra_ca} if authority else {},
            passwords=Passwords(self.project, self.course_id).ensure([*accounts, CHECK_ACCOUNT]),
            versions=folders.versions(self.course, self.at),
            backup=self.kept_backup(),
        )
        for formula, values in (changes or {}).items():
            document[formula] = {**document.get(formula, {}), **values}
        pillar.write_runtime(self.project, self.course_id, document)

    def kept_backup(self) -> dict[str, object] | None:
        """The pillar of the backups that the cloud keeps for a course that names no target; None if it keeps none."""
        place = None if self.course.backup.targets else self.cloud.backup_place(self.course_id)
        if place is None:
            return None
        repository, password = place
        return {"password": password, "targets": {backup.HERE: {"kind": "restic", "repository": repository}}}

    def target(self, server: Server) -> Target:
        """What the check from outside looks at."""
        if server.ip is None:
            raise CoursehubError(
                f"{self.course_id}: droplet {server.id} has no public address; look in the control panel"
            )
        password = Passwords(self.project, self.course_id).ensure([CHECK_ACCOUNT])[CHECK_ACCOUNT]
        uri = signin.redirect_uri(self.course) if self.course.signin.needs_secret else None
        below = f"{server_label(CHECK_ACCOUNT)}.{self.course.domain}" if self.course.subdomains else ""
        return Target(
            *(self.course.hostnames, server.ip, self.ca_bundle, CHECK_ACCOUNT, password.clear, uri, below),
            is_set=lambda hostname: self.is_set(hostname, str(server.ip)),
            ip6=server.ip6,
            makes_records=f"coursehub apply {self.course_id}" if self.course.dns == "cloud" else "",
        )

    def is_set(self, hostname: str, ip: str) -> bool:
        """Whether one of the course's names has exactly this address in the cloud's own DNS."""
        zone = self.zone()
        return zone is not None and self.cloud.targets(zone, record_of(hostname, ip)) == [ip]
