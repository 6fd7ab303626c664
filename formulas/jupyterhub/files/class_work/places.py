"""Who may look, and at whose work: the service's settings, and the system's accounts and groups."""

import grp
import json
import pwd
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from jupyterhub.utils import subdomain_hook_idna

FIRST_UID = 1000
NOBODY = 65534


@dataclass(frozen=True)
class Settings:
    """The content of /etc/jupyterhub/work.json; the formula's defaults.yaml describes each key."""

    socket: str
    base_url: str
    hub_api: str
    service: str
    viewers: list[str]
    owners: list[str]
    hidden: list[str]
    team_prefix: str
    teams: str
    python: str
    download: int
    subdomain_host: str = ""
    disk: str = ""
    backup: str = ""
    names: str = ""

    @property
    def prefix(self) -> str:
        """Return the path below which the pages are."""
        return f"{self.base_url}services/{self.service}/"

    @property
    def callback(self) -> str:
        """Return the address to which the hub redirects back; the hub derives it from the service's name."""
        if not self.subdomain_host:
            return f"{self.prefix}oauth_callback"
        hub = urlsplit(self.subdomain_host)
        return f"{hub.scheme}://{subdomain_hook_idna(self.service, hub.netloc, 'service')}{self.prefix}oauth_callback"


@dataclass(frozen=True)
class Place:
    """One person's or team's files: whose they are, where they are, and the ids that read them."""

    whose: str
    root: str
    uid: int
    gid: int


class People:
    """Who may look, and at whose work; the system is asked each time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def may_look(self, account: str) -> bool:
        """Return whether an account is a teacher's now."""
        return any(account in members(group) for group in self.settings.viewers)

    def owners(self) -> list[str]:
        """Return the accounts whose homes a teacher may see."""
        found = {account for group in self.settings.owners for account in members(group)}
        return sorted(found - set(self.settings.hidden))

    def names(self) -> dict[str, str]:
        """Return people's full names by account; none if the file, which only root can read, is missing."""
        try:
            said = json.loads(Path(self.settings.names).read_text(encoding="utf-8"))
            return {str(account): str(name) for account, name in said.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def teams(self) -> list[str]:
        """Return the teams that have a directory."""
        prefix = self.settings.team_prefix
        if not prefix:
            return []
        names = [entry.gr_name.removeprefix(prefix) for entry in grp.getgrall() if entry.gr_name.startswith(prefix)]
        return sorted(name for name in names if name and (Path(self.settings.teams) / name).is_dir())

    def place(self, kind: str, name: str) -> Place | None:
        """Return where a person's or a team's files are; None for a name that is not in the class."""
        if kind == "team":
            return self._team(name)
        if name not in self.owners():
            return None
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            # A group may list an account that no longer exists.
            return None
        return Place(name, entry.pw_dir, entry.pw_uid, entry.pw_gid) if entry.pw_uid >= FIRST_UID else None

    def _team(self, name: str) -> Place | None:
        if name not in self.teams():
            return None
        group = grp.getgrnam(f"{self.settings.team_prefix}{name}")
        root = str(Path(self.settings.teams) / name)
        return Place(f"groups/{name}", root, NOBODY, group.gr_gid) if group.gr_gid >= FIRST_UID else None


def members(group: str) -> list[str]:
    """Return the members of a Unix group."""
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []
