"""Attacks on disk space: a student fills the space that others need, or gets around their own limit."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.attacks.conftest import Cast
from tests.support.attackers import Person
from tests.support.hub import Hub

#: The kernel's errors at a directory's limit (EDQUOT) and on a full disk (ENOSPC).
FULL = ("Disk quota exceeded", "No space left on device")
MIB = 1 << 20


@pytest.fixture(autouse=True)
def disk(hub: Hub) -> None:
    """Only a server with a separate disk for the class has limits."""
    if hub.run("mountpoint -q /srv/disk && echo yes || true").strip() != "yes":
        pytest.skip("homes lie on this server's own disk")


@pytest.fixture
def tight(hub: Hub, mallory: Person) -> Iterator[Person]:
    """Mallory with a limit of 200 MiB during the test. Afterwards her home is as before."""
    mallory.serve()
    # Otherwise the timer, or a look that has begun, would reset her limit within a minute.
    hub.run(
        f"systemctl stop coursehub-disk-look.timer coursehub-disk-look.service; btrfs qgroup limit 200M {mallory.home}"
    )
    try:
        yield mallory
    finally:
        hub.run(f"rm -rf {mallory.home}/attack*; systemctl start coursehub-disk-look.timer")


def used(hub: Hub, path: str) -> int:
    """Used bytes of a home or a team's directory, as they count for its limit."""
    said = hub.run(f"btrfs filesystem sync /srv/disk; btrfs qgroup show -re --raw -f {path} | tail -n 1")
    return int(said.split()[1])


def works(person: Person) -> None:
    """Somebody saves, reads, and asks the hub."""
    answer = person.shell("head -c 1000000 /dev/urandom > works && sync works && cat works | wc -c && rm works")
    assert answer.text == "1000000", answer
    assert person.client.get("/hub/home", allow_redirects=False).status_code == 200


@pytest.mark.disturbs
def test_one_fallocate_for_the_whole_disk(tight: Person, alice: Person, hub: Hub) -> None:
    """Tries: to take all room at once with fallocate, then as much of it as goes.

    Stopped by: the limit of the student's home (formula homes).
    """
    alice.serve()
    said = tight.shell(
        "fallocate -l 1T attack; fallocate -l 10G attack; fallocate -l 150M attack; head -c 1G /dev/zero > attack2"
    )
    assert any(words in said.text for words in FULL), said.text
    assert used(hub, tight.home) <= 200 * MIB
    works(alice)


def test_a_full_home_still_lets_its_owner_in(tight: Person) -> None:
    """Tries: to lock somebody out by a full home: no sign-in, no start, no deletion.

    Stopped by: nothing that a server needs to start has to be written into the home.
    """
    tight.shell("head -c 1G /dev/zero > attack; for n in $(seq 2000); do echo x > attack$n || break; done 2> /dev/null")
    assert tight.shell("echo more > attack-more").code != 0
    tight.restart()
    again = tight.new_client()
    assert again.get("/hub/home", allow_redirects=False).status_code == 200
    assert tight.python("print(6 * 7)") == "42"
    assert tight.client.api("DELETE", "/api/contents/attack").status_code == 204
    time.sleep(1)
    assert tight.shell("echo more > attack-more && cat attack-more").text == "more"


def test_many_small_files(tight: Person, hub: Hub) -> None:
    """Tries: to use up what the disk keeps of files, with files that are empty or tiny.

    Stopped by: what is kept of files counts to the home's limit too.
    """
    said = tight.python("""
import os
os.makedirs("attack", exist_ok=True)
made = 0
try:
    while made < 2_000_000:
        with open(f"attack/{made}", "w") as file:
            file.write("x" * 1500)
        made += 1
except OSError as error:
    print(made, error.strerror)
""")
    assert any(words in said for words in FULL), said
    assert used(hub, tight.home) <= 200 * MIB


def test_sparse_and_copied_files(tight: Person, hub: Hub) -> None:
    """Tries: to have more than the limit by files with holes, by hard links, and by copies that share their blocks.

    Stopped by: each byte that a home refers to counts once, wherever it is from; holes count when they are filled.
    """
    said = tight.shell("""
        truncate -s 1T attack && echo sparse
        head -c 100M /dev/urandom > attack-own
        cp --reflink=always attack-own attack-clone 2>&1
        cp --reflink=auto attack-own attack-copy; ln attack-own attack-link
        dd if=/dev/zero of=attack bs=1M count=300 conv=notrunc status=none
    """)
    assert "sparse" in said.text
    # Shared blocks take no space, but a million of them would slow down the accounting for everybody.
    assert "attack-clone" in said.text and "not permitted" in said.text
    assert any(words in said.text for words in FULL), said.text
    assert used(hub, tight.home) <= 200 * MIB


def test_a_directory_without_a_limit(tight: Person, hub: Hub) -> None:
    """Tries: to make a subvolume or a snapshot of one's own, which would have no limit, and to change limits.

    Stopped by: no process of a student's may ask btrfs for anything (course_env, limited.py).
    """
    before = hub.run("btrfs subvolume list /srv/disk | wc -l")
    for attempt in ("subvolume create attack", "subvolume snapshot . attack", "qgroup limit none .", "quota disable ."):
        said = tight.shell(f"cd; /usr/bin/btrfs {attempt}")
        assert said.code != 0, attempt
        assert "not permitted" in said.text, said.text
    said = tight.python("""
import ctypes, fcntl, os, struct
directory = os.open(".", os.O_RDONLY)
# The kernel takes 32 bits of a request: what is above them must not hide it.
libc = ctypes.CDLL(None, use_errno=True)
for request in (0x5000940E, 0x5000940E | 1 << 32, 0x50009418, 0x50009401, 0x50009417):
    words = ctypes.create_string_buffer(struct.pack("<q4088s", directory, b"attack"), 4096)
    done = libc.syscall(16, directory, ctypes.c_ulong(request), words)
    print(done, os.strerror(ctypes.get_errno()))
""")
    assert said.splitlines() == ["-1 Operation not permitted"] * 5, said
    assert hub.run("btrfs subvolume list /srv/disk | wc -l") == before


def test_room_of_a_team_and_of_others(tight: Person, alice: Person, cast: Cast, hub: Hub) -> None:
    """Tries: to move what is too much into a team's directory, another's home, or where everybody may write.

    Stopped by: a team's directory has its own limit, others' are closed, and /tmp and the like are one's own memory.
    """
    team = cast.directory("pair")
    hub.run(f"btrfs qgroup limit 100M {team}")
    try:
        said = tight.shell(f"head -c 300M /dev/zero > {team}/attack; rm -f {team}/attack")
        assert any(words in said.text for words in FULL), said.text
        assert "ermission denied" in tight.shell(f"fallocate -l 1M {alice.home}/attack").text
        for place in ("/run", "/var/spool", "/var/lib", "/srv/class/shared", "/srv/disk", "/opt"):
            assert tight.shell(f"fallocate -l 1M {place}/attack").code != 0, place
        for place in ("/tmp", "/var/tmp", "/dev/shm"):
            assert (
                tight.shell(
                    f"fallocate -l 100G {place}/attack; rm -f {place}/attack; fallocate -l 100G {place}/attack"
                ).code
                != 0
            )
    finally:
        hub.run(f"rm -f {team}/attack; coursehub-disk limits")


def test_earlier_versions_of_another(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to read what another had, past a home that was open to all once, and to change one's own past.

    Stopped by: only the owner's versions are in the unit, read-only; root alone enters where all are.
    """
    for person in (alice, mallory):
        person.shell("umask 0; mkdir -p attack-open; chmod 0777 .; echo mine > attack-open/answer")
    try:
        hub.run("systemctl start coursehub-disk-history.service")
        version = hub.run(f"ls /srv/disk/history/home/{alice.account} | tail -n 1").strip()
        assert version
        own = mallory.shell("cd '/srv/earlier/home' && cat */attack-open/answer | tail -n 1")
        assert own.text == "mine", own
        for path in (
            f"/srv/disk/history/home/{alice.account}/{version}",
            f"/srv/earlier/home/../{alice.account}",
            "/srv/disk",
        ):
            assert mallory.shell(f"cat '{path}'/attack-open/answer || ls '{path}'").code != 0, path
        assert alice.account not in mallory.shell("find /srv/earlier -maxdepth 3").text
        inside = f"/srv/earlier/home/{hub.run(f'ls /srv/disk/history/home/{mallory.account} | tail -n 1').strip()}"
        attempts = [f"{verb} '{inside}/attack-open/answer'" for verb in ("rm", "touch", "truncate -s 0", "chmod 0700")]
        for attempt in (*attempts, f"rmdir '{inside}'", f"/usr/bin/btrfs property set '{inside}' ro false"):
            assert mallory.shell(attempt).code != 0, attempt
    finally:
        for person in (alice, mallory):
            person.shell("rm -rf attack-open; chmod 0700 .")
