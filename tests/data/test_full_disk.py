"""The server's own disk or the homes' is full: in the middle of a highstate or an upgrade; and who hears of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from runner.agreed import PATHS
from runner.people.passwords import Passwords
from tests.machine.test_hub import until
from tests.support.attackers import Person
from tests.support.deaths import COURSE, LATE, STUDENT, VERB_ENDS, Dying
from tests.support.machine import one_line

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(3600)]

#: Seconds within which an alert arrives.
ALERTED = 300
#: In the unit that sends alerts, an account without rights can write only here.
ALERTS = "/dev/shm/alerts"


@contextlib.contextmanager
def full_root(dying: Dying) -> Iterator[None]:
    """Not one byte is left on the machine's own disk, from one moment to the next."""
    filler, rest = dying.machine.root / "var/filler", dying.machine.root / "var/filler.rest"
    room = os.statvfs(filler.parent)
    try:
        # ext4 keeps 16 MB of its free room for its own use.
        subprocess.run(
            ["fallocate", "-l", str(max(room.f_bfree * room.f_frsize - (64 << 20), 4096)), filler], check=True
        )
        # A highstate may have taken the rest meanwhile.
        with contextlib.suppress(OSError), rest.open("wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()
        yield
    finally:
        filler.unlink(missing_ok=True)
        rest.unlink(missing_ok=True)


def environment(dying: Dying) -> str:
    """The course's environment that serves."""
    return (dying.machine.root / "opt/course/env").readlink().name


def phase(dying: Dying) -> str:
    path = dying.machine.root / PATHS["upgrade"].lstrip("/") / "phase"
    return path.read_text(encoding="utf-8").partition("\n")[0] if path.exists() else "idle"


def wait_for(verb: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not when():
        assert verb.poll() is None, f"it ended before: {verb.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def failed(verb: subprocess.Popen[str]) -> str:
    """The one line that it said."""
    stdout, stderr = verb.communicate(timeout=VERB_ENDS)
    line = one_line(subprocess.CompletedProcess(verb.args, verb.returncode, stdout, stderr))
    print(line)
    return line


def test_disk_full_in_the_middle_of_a_highstate(dying: Dying) -> None:
    dying.remember()
    before = environment(dying)
    dying.change()
    verb = dying.hub.sandbox.popen("apply", COURSE)
    dying.machine.wait_in_highstate(verb, lambda _: dying.machine.building() is not None)
    with full_root(dying):
        assert "the server's disk is full" in failed(verb)
        assert environment(dying) == before
    dying.need_class_can_work()
    assert dying.hub.sandbox.json("apply", COURSE)["courses"][COURSE]["failed"] == 0
    assert environment(dying) != before
    dying.need_all_work("after the highstate")


@pytest.mark.parametrize("when", ["trying", "switching"])
def test_disk_full_in_the_middle_of_an_upgrade(dying: Dying, when: str) -> None:
    """The old version serves, with the settings of before; later the upgrade finishes."""
    dying.remember()
    before = environment(dying)
    dying.change()
    verb = dying.hub.sandbox.popen("upgrade", COURSE)
    wait_for(verb, lambda: phase(dying) == when)
    with full_root(dying):
        failed(verb)
        assert environment(dying) == before
        assert dying.hub.run("systemctl is-active jupyterhub jupyterhub-proxy nginx").split() == ["active"] * 3
    dying.need_class_can_work()
    assert environment(dying) == before
    dying.hub.sandbox.json("upgrade", COURSE)
    assert environment(dying) != before
    dying.need_class_can_work()
    dying.need_all_work("after the upgrade")


def test_rollback_on_a_full_disk(dying: Dying) -> None:
    """The way back of an upgrade that succeeded. It has its reserve."""
    dying.remember()
    before = environment(dying)
    dying.change()
    dying.hub.sandbox.json("upgrade", COURSE)
    assert environment(dying) != before
    with full_root(dying):
        done = dying.hub.sandbox.run("rollback", COURSE)
        print(done.returncode, done.stderr.strip().splitlines()[-1:])
        assert environment(dying) == before
    dying.need_class_can_work()
    assert dying.hub.sandbox.json("check", COURSE)["ok"]
    dying.hub.sandbox.json("upgrade", COURSE)
    dying.need_all_work("after the rollback")


def alerts(dying: Dying) -> list[dict[str, object]]:
    """Those of the disk; a backup may fail meanwhile, which is another matter."""
    said = dying.hub.run(f"cat {ALERTS} 2>/dev/null || true")
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [one for one in found if one["kind"] == "disk"]


@pytest.fixture
def alerting(dying: Dying) -> Iterator[Dying]:
    """The course with an alert command. Nothing is wrong yet."""
    path = dying.hub.sandbox.project.course_file(COURSE)
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("  limits:", f'  alert: {{command: "cat >> {ALERTS}; echo >> {ALERTS}"}}\n  limits:', 1)
    )
    try:
        dying.hub.sandbox.json("apply", COURSE)
        dying.hub.run(f"rm -f {ALERTS}; systemctl start coursehub-backup-watch.service || true; rm -f {ALERTS}")
        yield dying
    finally:
        path.write_text(text, encoding="utf-8")


def test_full_disk_is_alerted_within_five_minutes(alerting: Dying) -> None:
    """By the timer. The hub's database is sound, and the end of it is reported too."""
    dying = alerting
    dying.remember()
    with full_root(dying):
        took = until("the alert", lambda: bool(alerts(dying)), ALERTED)
        (told,) = alerts(dying)
        print(f"after {took:.0f} s: {told}")
        assert (told["kind"], told["ok"]) == ("disk", False)
        assert str(told["text"]).startswith("/ is full: 100 % used, 0 MB are left")
    dying.need_class_can_work()
    dying.hub.run("systemctl start coursehub-backup-watch.service || true")
    assert alerts(dying)[1:] == [{"kind": "disk", "ok": True, "text": "the server's disk has room again"}]
    dying.need_all_work("after the full disk")


def test_full_homes_are_alerted_and_stop_nobody_from_signing_in(alerting: Dying) -> None:
    """The class's own disk: the hub, its database and the system have other room."""
    dying = alerting
    if dying.hub.run("mountpoint -q /srv/disk && echo yes || true").strip() != "yes":
        pytest.skip("homes lie on this server's own disk")
    dying.remember()
    filler = "/srv/disk/filler"
    dying.hub.run(f"fallocate -l $(df --output=avail -B1 /srv/disk | tail -1) {filler} || true; sync -f {filler}", 600)
    try:
        assert "No space left" in dying.hub.run(
            f"runuser -u {STUDENT} -- sh -c 'head -c 100M /dev/urandom > ~/more' 2>&1; rm -f /home/{STUDENT}/more"
        )
        dying.hub.run("systemctl start coursehub-backup-watch.service || true")
        (told,) = alerts(dying)
        print(told)
        assert (told["kind"], told["ok"]) == ("disk", False)
        assert str(told["text"]).startswith(f"{PATHS['shared']} is full")
        dying.need_class_can_work()
        student = Person(dying.hub, LATE, Passwords(dying.hub.sandbox.project, COURSE).read()[LATE].clear)
        assert student.python("print(6 * 7)") == "42"
        student.stop()
    finally:
        dying.hub.run(f"rm -f {filler}; btrfs filesystem sync /srv/disk")
    dying.hub.run("systemctl start coursehub-backup-watch.service || true")
    assert [one["ok"] for one in alerts(dying)] == [False, True]
    dying.need_all_work("after the full homes")
