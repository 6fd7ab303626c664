"""The people of a course: who may sign in, and as what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from runner.agreed import ACCOUNTS, GROUPS, TEAM_PREFIX
from runner.course.facts import Email, Facts, Text, none_of, text_like

#: Accounts and groups that the image, its packages or our formulas use; a person must not get one of these. Groups
#: count because each account gets a group of the same name.
RESERVED = frozenset(
    # A list of words is easier to read than forty quoted strings.
    """
    root daemon bin sys sync games man lp mail news uucp proxy backup list irc nobody sshd messagebus
    systemd-network systemd-resolve systemd-timesync debian ubuntu admin sudo adm jupyterhub jupyterhub-proxy coursehub
    tty disk kmem dialout fax voice cdrom floppy tape audio dip operator src shadow utmp video sasl plugdev staff
    users nogroup systemd-journal crontab input sgx kvm clock render netdev ssh _ssh www data
    nginx certbot node-exporter prometheus polkitd tss uuidd tcpdump syslog landscape lxd docker
    """.split()  # noqa: SIM905
) | {*ACCOUNTS.values(), *GROUPS}


def _no_team(account: str) -> str:
    if account.startswith(TEAM_PREFIX):
        raise ValueError(f"accounts that begin with {TEAM_PREFIX} would be mixed up with teams; choose another")
    return account


#: useradd's rule for portable names (useradd(8), "CAVEATS"), with utmp's maximum of 32 bytes.
Account = Annotated[
    str,
    *text_like(
        r"^[a-z_][a-z0-9_-]{0,31}$",
        "an account such as curie (a small letter, then at most 31 small letters, digits, - and _)",
    ),
    AfterValidator(none_of(RESERVED, "this account belongs to the system; choose another")),
    AfterValidator(_no_team),
]


#: GitHub's own rule: letters, digits and single hyphens inside, at most 39 characters.
GitHubLogin = Annotated[
    str, *text_like(r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}$", "a login at GitHub such as octocat (no @, no address)")
]
#: The Unix group of a team, without its prefix.
Team = Annotated[
    str, *text_like(r"^[a-z][a-z0-9-]{0,22}$", "a team's short name: small letters, digits and -, at most 23")
]


class Person(Facts):
    """A person of the course."""

    account: Annotated[Account, Field(examples=["curie"])]
    """The Unix account, and the name for sign-in. Files belong to it, so do not change it during the term."""
    name: Annotated[Text, Field(examples=["Marie Curie"])]
    """The person's name. Teachers see students' and guests' names on the page *Students' work*; on the server only root
    can read them."""
    email: Annotated[Email | None, Field(examples=["curie@example.edu"])] = None
    """The person's address at the college, which identifies them in class lists and at sign-in services."""
    login: Annotated[Text | None, Field(examples=["mcurie1"])] = None
    """The person's login name at the college, if it is not an email address."""
    github: Annotated[GitHubLogin | None, Field(examples=["mcurie"])] = None
    """The person's login at GitHub, for ``signin: {kind: github}``; GitHub does not send college addresses."""
    number: Annotated[Text | None, Field(examples=["20067930"])] = None
    """The college's number of the person, which identifies them in class lists. It never reaches the server."""
    groups: list[Team] = Field(default=[], examples=[["team-1"]])
    """The person's teams. Each team has a directory ``~/groups/NAME``. Its members can change each other's files there,
    and nobody else can enter."""


class People(Facts):
    """Who may sign in, by role; nobody else from the college can."""

    professors: Annotated[list[Person], Field(min_length=1, examples=[[{"account": "curie", "name": "Marie Curie"}]])]
    """People who teach: they see who is there; start, stop and open students' servers; and look at their files. At
    least one."""
    assistants: list[Person] = Field(default=[], examples=[[{"account": "noether", "name": "Emmy Noether"}]])
    """People who help: they see students and guests, open their servers and look at their files."""
    students: list[Person] = Field(default=[], examples=[[{"account": "turing", "name": "Alan Turing"}]])
    """People who learn: they see only their own files and server."""
    guests: list[Person] = Field(default=[], examples=[[{"account": "visitor", "name": "Vera Visitor"}]])
    """Guest auditors: they may sign in and work, and see only their own files and server. Teachers see guests in the
    same way as students."""

    @model_validator(mode="after")
    def _one_account_each(self) -> People:
        seen: set[str] = set()
        for person in self.everyone():
            if person.account in seen:
                raise ValueError(f"the account {person.account} is given twice")
            seen.add(person.account)
        return self

    def everyone(self) -> Iterator[Person]:
        """All people, professors first."""
        yield from self.professors
        yield from self.assistants
        yield from self.students
        yield from self.guests
