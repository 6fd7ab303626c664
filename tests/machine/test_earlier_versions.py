"""A student can restore lost files without help. Students and teachers get a warning before a limit is reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from runner.people.passwords import Passwords
from tests.support.attackers import Person
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

STUDENT = "knair"
LINK = "Earlier versions"


@pytest.fixture(scope="module")
def student(hub: Hub) -> Iterator[Person]:
    if hub.run("mountpoint -q /srv/disk && echo yes || true").strip() != "yes":
        pytest.skip("homes lie on this server's own disk")
    person = Person(hub, STUDENT, Passwords(hub.sandbox.project, hub.course).read()[STUDENT].clear)
    person.serve()
    yield person
    person.shell("rm -rf ~/versions ~/versions-* ~/fill*")
    person.forget()


def contents(person: Person, method: str, path: str, **options: object) -> dict[str, object]:
    """The requests that Lab's file browser makes for files."""
    answer = person.client.api(method, f"/api/contents/{quote(path)}", **options)
    return answer.json() if answer.text else {}


def newest(person: Person) -> str:
    """The folder of the newest version in the file browser's list."""
    listed = contents(person, "GET", LINK)["content"]
    assert isinstance(listed, list)
    return str(max(one["path"] for one in listed))


def test_deleted_and_emptied_files_come_back(hub: Hub, student: Person) -> None:
    """Deleted in Lab, by rm, and overwritten by an empty file: all three come back in Lab, and in the terminal."""
    student.shell("mkdir -p ~/versions && cd ~/versions && for n in lab rm empty; do echo work of $n > $n.txt; done")
    hub.run("systemctl start coursehub-disk-history.service")
    contents(student, "DELETE", "versions/lab.txt")
    assert student.shell("cd ~/versions && rm rm.txt && : > empty.txt && ls").text == "empty.txt"

    # Only the last version of an hour is kept, so this test takes only one.
    kept = hub.run(f"ls /srv/disk/history/home/{STUDENT}").splitlines()
    then = f"{LINK}/{kept[-1]}/versions"
    assert newest(student) == f"{LINK}/{kept[-1]}"
    shown = contents(student, "GET", f"{then}/rm.txt")
    assert (shown["content"], shown["writable"]) == ("work of rm\n", False)
    for name in ("lab", "rm", "empty"):
        contents(student, "DELETE", f"versions/{name}.txt") if name == "empty" else None
        copied = contents(student, "POST", "versions", json={"copy_from": f"{then}/{name}.txt"})
        assert contents(student, "GET", str(copied["path"]))["content"] == f"work of {name}\n"
    assert student.shell(f"cd && cp '{then}/lab.txt' versions-again && cat versions-again").text == "work of lab"


def test_earlier_versions_cost_their_owner_nothing(hub: Hub, student: Person) -> None:
    def used() -> int:
        said = hub.run(f"btrfs filesystem sync /srv/disk; btrfs qgroup show -re --raw -f /home/{STUDENT} | tail -n 1")
        return int(said.split()[1])

    student.shell("head -c 50M /dev/urandom > ~/versions-big && sync ~/versions-big")
    full = used()
    hub.run("systemctl start coursehub-disk-history.service")
    student.shell("rm ~/versions-big; sync ~")
    assert full - used() > 45 << 20


def test_short_of_disk_space_is_told(hub: Hub, student: Person) -> None:
    """At 80 % Lab warns the student, and the teachers' page and `check` name them. At 100 % all say that it is full."""
    limit = json.loads(hub.run(f"coursehub-disk look > /dev/null; cat /run/coursehub-disk/home/{STUDENT}.json"))[
        "limit"
    ]

    def told() -> dict[str, object]:
        hub.run("btrfs filesystem sync /srv/disk; systemctl start coursehub-disk-look.service")
        answer: dict[str, object] = student.client.api("GET", "/class/disk").json()
        return answer

    assert told() == {"level": 0, "message": ""}
    try:
        student.shell(f"fallocate -l {limit * 85 // 100} ~/fill")
        assert told()["level"] == 1
        checks = {one["name"]: one for one in hub.sandbox.json("check", hub.course)["checks"]}
        assert checks["disk space"]["ok"]
        assert STUDENT in checks["disk space"]["detail"]
        student.shell("head -c 100G /dev/zero > ~/fill2 2> /dev/null")
        assert told()["level"] == 2
        assert f"disk full for {STUDENT}" in str(hub.sandbox.run("check", hub.course).stdout)
    finally:
        student.shell("rm -f ~/fill ~/fill2")
    assert told()["level"] == 0
