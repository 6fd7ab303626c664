"""The roles of the attacks: victims, attackers, and where they come from. See README.md beside this file."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.people.passwords import Passwords
from tests.support.attackers import Outside, Person, findable
from tests.support.hub import Hub

#: Students by role, and their teams.
STUDENTS = {"alice": ("quiet", "pair"), "bob": (), "mallory": ("pair",)}
#: Teachers by role: their Unix group, and their account in the demo course.
TEACHERS = {"professor": ("instructors", "rivera"), "assistant": ("assistants", "okafor")}


#: The directories of teams.
TEAMS = Path("/srv/class/groups")


@dataclass(frozen=True)
class Cast:
    """Everybody by role, and each team's directory on the server."""

    people: dict[str, Person]
    teams: dict[str, Path]

    def directory(self, team: str) -> Path:
        """The directory of this team on the server."""
        return self.teams[team]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    somebodys = config.getoption("--hub") and "walls" not in config.option.markexpr
    for item in items:
        if item.get_closest_marker("walls") and somebodys:
            item.add_marker(pytest.mark.skip(reason="walls of somebody's hub stay up; -m walls takes them away"))
        if item.nodeid.startswith("tests/attacks/"):
            item.add_marker(pytest.mark.attacks)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def cast(hub: Hub, request: pytest.FixtureRequest) -> Iterator[Cast]:
    """Students, a professor and an assistant on the hub, which is restored afterwards."""
    yield from cast_of(hub, request)


def cast_of(hub: Hub, request: pytest.FixtureRequest) -> Iterator[Cast]:
    """The same for any hub, so that a file of attacks can use another one."""
    if request.config.getoption("--hub"):
        yield from _visiting(hub)
    else:
        yield from _enrolled(hub)


def _enrolled(hub: Hub) -> Iterator[Cast]:
    """A hub of the tests: the students are added to the course file, the teachers are the course's."""
    path = hub.sandbox.project.course_file(hub.course)
    before = path.read_text(encoding="utf-8")
    lines = "".join(
        f"      - {{account: {account}, name: {account.title()}, groups: [{', '.join(teams)}]}}\n"
        for account, teams in STUDENTS.items()
    )
    path.write_text(before.replace("    students:\n", f"    students:\n{lines}"), encoding="utf-8")
    try:
        assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0
        accounts = {**{part: part for part in STUDENTS}, **{part: account for part, (_, account) in TEACHERS.items()}}
        known = Passwords(hub.sandbox.project, hub.course).read()
        people = {part: Person(hub, account, known[account].clear) for part, account in accounts.items()}
        yield Cast(people, {team: TEAMS / team for teams in STUDENTS.values() for team in teams})
    finally:
        path.write_text(before, encoding="utf-8")
        hub.sandbox.json("apply", hub.course)


def _visiting(hub: Hub) -> Iterator[Cast]:
    """An existing hub: accounts and teams that are in no course file and are removed afterwards."""
    groups = {team: f"team-attack-{team}" for teams in STUDENTS.values() for team in teams}
    teams = {team: TEAMS / group.removeprefix("team-") for team, group in groups.items()}
    joined = {part: ["students", *(groups[team] for team in teams)] for part, teams in STUDENTS.items()}
    joined |= {part: [group] for part, (group, _) in TEACHERS.items()}
    people = {part: Person(hub, f"attack-{part}", secrets.token_hex(16)) for part in joined}
    # Homes and teams' directories are what `apply` would make.
    begin, end = ["set -eu", "sub=; if mountpoint -q /srv/disk; then sub=--btrfs-subvolume-home; fi"], []
    for team, group in groups.items():
        begin += [f"groupadd {group}", f"[ -z $sub ] || btrfs -q subvolume create {teams[team]}"]
        begin += [f"install -d -g {group} -m 2770 {teams[team]}"]
        end += [f"rm -rf {teams[team]}", f"groupdel {group}"]
    for part, person in people.items():
        named = ",".join(["class", *joined[part]])
        begin += [
            f"useradd --create-home $sub --user-group --shell /bin/bash --groups {named} {person.account}",
            f"chmod 0700 {person.home}",
            f"echo '{person.account}:{person.password}' | chpasswd",
        ]
        end = [f"systemctl stop {person.unit}", f"userdel --remove --force {person.account}", *end]
    begin += ["[ -z $sub ] || coursehub-disk limits"]
    end += [
        "btrfs subvolume delete /srv/disk/history/{home,groups}/attack-*/*",
        "rmdir /srv/disk/history/{home,groups}/attack-*",
    ]
    away = "\n".join(["{", *end, "} > /dev/null 2>&1 || true"])
    try:
        findable(hub, "attacks", [person.account for person in people.values()])
        # First remove the leftovers of a killed run.
        hub.run("\n".join([away, *begin]))
        yield Cast(people, teams)
    finally:
        for person in people.values():
            person.forget()
        hub.run(away)
        findable(hub, "attacks", [])


def _part(name: str) -> object:
    def play(cast: Cast) -> Person:
        return cast.people[name]

    play.__doc__ = f"The person who plays {name}."
    return pytest.fixture(play, name=name)


alice, bob, mallory = _part("alice"), _part("bob"), _part("mallory")
professor, assistant = _part("professor"), _part("assistant")


@pytest.fixture
def outside(hub: Hub) -> Outside:
    """Somebody without an account, on another computer."""
    return Outside(hub)
