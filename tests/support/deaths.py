"""Something dies in the middle of a verb: the whole machine, the hub, the SSH server, or restic.

``Dying`` is a small course on a machine of its own with students' work in it. ``VERBS`` are what it dies in.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from runner.agreed import PATHS
from runner.servers.access import Access
from tests.machine.test_hub import until
from tests.support import odd_files
from tests.support.hub import Hub
from tests.support.machine import Machine
from tests.support.sandbox import Sandbox

COURSE = "deaths"
#: Two with work at home, and one who signs in after each death.
STUDENT, OTHER, LATE = "abello", "bcarter", "cdubois"
#: Seconds within which a verb ends after a death, and the hub serves again.
VERB_ENDS, SERVES = 900, 180
#: What the processes are called, and a word of their command line.
VICTIMS = {
    "hub": (("python", "python3"), "class_inside.hub"),
    "sshd": (("sshd", "sshd-session", "sshd-auth"), ""),
    "restic": (("restic",), ""),
}
#: Among the arguments of a verb: the time of the backup that has the work. A timer makes others.
AT = "AT"
Facts = dict[str, dict[str, Any]]
_WORK = f"""
rm -f /home/{STUDENT}/labs/sparse
runuser -u {STUDENT} -- sh -ec 'cd; mkdir -p course; head -c 40M /dev/urandom > course/large
    for n in $(seq 300); do echo $n > course/$n.txt; done; chmod 0640 course/1.txt; chmod 0700 course'
runuser -u {OTHER} -- sh -ec 'head -c 20M /dev/urandom > ~/large; echo a > ~/a; ln ~/a ~/same'
"""
_EMPTY = f"""
for home in /home/{STUDENT} /home/{OTHER}; do
    find "$home" -xdev -mindepth 1 -delete
    python3 -c 'import os, sys; os.removexattr(sys.argv[1], "trusted.coursehub-restored")' "$home" 2>/dev/null || true
done
rm -f /var/lib/coursehub-backup/everything.json
"""
_DATABASE = f"""python3 -c '
import sqlite3
with sqlite3.connect("file:{PATHS["hub_database"]}?mode=ro", uri=True) as there:
    print(there.execute("PRAGMA integrity_check").fetchone()[0], there.execute("SELECT count(*) FROM users").fetchone())
'"""


@dataclass
class Dying:
    """The course. ``before`` is the students' work as it must be."""

    hub: Hub
    machine: Machine
    before: Facts = field(default_factory=dict)
    changes: int = 0
    backed_up: str = ""
    _text: str = ""

    @classmethod
    def up(cls, sandbox: Sandbox) -> Dying:
        """A new server with six students and their work."""
        domain = f"{COURSE}-{os.getpid()}.coursehub.test"
        sandbox.copy_course("demo", COURSE, **{sandbox.domain("demo"): domain, "s-4vcpu-8gb": "s-2vcpu-4gb"})
        path = sandbox.project.course_file(COURSE)
        text = path.read_text(encoding="utf-8")
        people = re.findall(r"^ +- \{account: .*\n", text.partition("students:\n")[2], re.M)
        for line in people[6:]:
            text = text.replace(line, "")
        path.write_text(text, encoding="utf-8")
        sandbox.lighten(COURSE)
        hub = Hub(COURSE, sandbox.json("up", COURSE), sandbox)
        made = cls(hub, Machine.of(sandbox, COURSE), _text=path.read_text(encoding="utf-8"))
        odd_files.make(hub, STUDENT, other=OTHER)
        hub.run(_WORK)
        return made

    # -- what it has -----------------------------------------------------------------------------------------

    def work(self) -> Facts:
        """The students' homes now, without the homes' own times: signing in changes nothing else in them."""
        found = odd_files.describe(self.hub, f"/home/{STUDENT}", f"/home/{OTHER}")
        for home in (STUDENT, OTHER):
            found[f"/home/{home}"].pop("time")
        return found

    def remember(self) -> None:
        self.before = self.work()

    def back_up(self) -> None:
        """A backup of the work as it must be."""
        self.remember()
        self.hub.sandbox.json("backup", COURSE)
        self.backed_up = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")
        time.sleep(1)

    def words(self, verb: Verb) -> list[str]:
        """The command line of a verb."""
        return [self.backed_up if word == AT else word for word in verb.arguments]

    def need_all_work(self, at: str) -> None:
        """Each file equal, with its owner, mode, time and links."""
        now = self.work()
        differ = {name: (facts, now.get(name)) for name, facts in self.before.items() if now.get(name) != facts}
        assert dict(list(differ.items())[:3]) == {}, at
        assert now.keys() == self.before.keys(), at

    def need_each_home_whole_or_empty(self, at: str) -> None:
        """A restore of everything brings a home in one step."""
        now = self.work()
        for home in (f"/home/{STUDENT}", f"/home/{OTHER}"):
            here = {name: facts for name, facts in now.items() if name.startswith(f"{home}/")}
            then = {name: facts for name, facts in self.before.items() if name.startswith(f"{home}/")}
            assert here in ({}, then), f"{at}: {home} has {len(here)} of {len(then)}"

    def need_class_can_work(self) -> None:
        """SSH answers, the hub's database is sound, and a student who is new today signs in."""
        access = Access(self.hub.sandbox.project, COURSE)
        access.wait_for_ssh(self.machine.ip, lambda _: None, SERVES)

        def signs_in() -> bool:
            with self.hub.sandbox.client(self.hub.document, LATE) as client:
                return client.get("/hub/home", allow_redirects=False).status_code == 200

        until("a student signs in", signs_in, SERVES)
        assert self.hub.run(_DATABASE).startswith("ok "), "the hub's database"

    def need_sound_backup(self) -> None:
        """``restic check --read-data`` finds nothing, and the newest backup has all of the work."""
        self.hub.sandbox.json("backup", COURSE)
        assert json.loads(self.hub.run("coursehub-backup check", 900).splitlines()[-1])["ok"] is True
        for account in (STUDENT, OTHER):
            found = self.hub.sandbox.json("restore", COURSE, "--user", account, "--path", ".")
            beside = odd_files.describe(self.hub, found["to"])
            self.hub.run(f"rm -rf '{found['to']}'")
            home = f"/home/{account}/"
            then = {name.removeprefix(home): one for name, one in self.before.items() if name.startswith(home)}
            now = {name.removeprefix(f"{found['to']}/"): one for name, one in beside.items() if name != found["to"]}
            assert now.keys() == then.keys()
            # A file that its owner restores alone has no access lists; "same" and a link's time are of this copy.
            facts = ("kind", "mode", "owner", "group", "size", "content")
            assert [
                name for name, one in then.items() if [one[f] for f in facts] != [now[name][f] for f in facts]
            ] == []

    # -- what is done to it ----------------------------------------------------------------------------------

    def change(self) -> None:
        """Other settings and another lock: the next highstate makes an environment, and restarts the hub."""
        self.changes += 1
        sandbox = self.hub.sandbox
        text = self._text.replace("memory: 1G", f"memory: {900 + self.changes}M")
        text = re.sub(r"message: .*", f"message: change {self.changes}", text)
        assert text != self._text
        sandbox.project.course_file(COURSE).write_text(text, encoding="utf-8")
        with (sandbox.root / f"pillar/files/locks/{COURSE}.txt").open("a", encoding="utf-8") as lock:
            lock.write("\n")

    def strike(self, fault: str, verb: subprocess.Popen[str]) -> bool:
        """Kill -9, as soon as there is something to kill. Returns False if the verb was over before."""
        while verb.poll() is None:
            if fault == "power":
                # The cloud boots it again at once.
                self.machine.kill()
                return True
            names, word = VICTIMS[fault]
            hit = False
            for process in self.machine.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.name().startswith(names) and word in " ".join(process.cmdline()):
                        process.kill()
                        hit = True
            if hit:
                return True
            time.sleep(0.02)
        return False


# -- the verbs -----------------------------------------------------------------------------------------------


def _new_work(dying: Dying) -> None:
    script = f"head -c 12M /dev/urandom > ~/course/new; date +%N > ~/course/{time.time_ns() % 300}.txt"
    dying.hub.run(f"runuser -u {STUDENT} -- sh -ec '{script}'")
    dying.remember()


def _spoil(dying: Dying) -> None:
    """A folder is damaged: some files are gone, one has other content, and one was not there before."""
    dying.hub.run(f"cd /home/{STUDENT}/course && rm -f 2?.txt && runuser -u {STUDENT} -- sh -c 'echo spoilt > large'")


def _empty(dying: Dying) -> None:
    """As on a new server: homes that nobody has used, and no restore yet."""
    dying.hub.run(_EMPTY)


@dataclass(frozen=True)
class Verb:
    """A verb; what makes it necessary; and what must hold after a death, before it runs again."""

    arguments: tuple[str, ...]
    prepare: Callable[[Dying], None]
    holds: Callable[[Dying, str], None]
    faults: tuple[str, ...] = ("power", "hub", "sshd", "restic")


VERBS = {
    "backup": Verb(("backup", COURSE), _new_work, Dying.need_all_work),
    "restore-folder": Verb(
        ("restore", COURSE, "--user", STUDENT, "--path", "course", "--in-place", "--at", AT),
        _spoil,
        # Files come one after the other: those of the last run may be missing still.
        lambda _dying, _at: None,
    ),
    "restore-all": Verb(("restore", COURSE, "--all", "--at", AT), _empty, Dying.need_each_home_whole_or_empty),
    # It makes no backup, so no restic runs.
    "apply": Verb(("apply", COURSE), Dying.change, Dying.need_all_work, ("power", "hub", "sshd")),
    "upgrade": Verb(("upgrade", COURSE), Dying.change, Dying.need_all_work),
}
