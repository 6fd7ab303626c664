"""A course at "DigitalOcean" whose server is this computer: its ssh runs what it is given here, with other programs.

The API, the claims, the conversation with the server and the look at its hub over TLS are real. Salt is not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests.adapters

import runner.servers.access
from runner import saltssh
from runner.cli.main import main
from runner.people.passwords import Passwords
from runner.project import Project
from runner.saltssh.results import Report, StateResult
from runner.servers.access import Access
from runner.session import CHECK_ACCOUNT
from runner.verbs import debian, upgrade
from tests.support.authority import Authority
from tests.support.local_api import TOKEN, Api, served
from tests.support.names import Names
from tests.support.programs import Programs
from tests.support.projects import phys
from tests.support.stand_in_hub import Behaviour, Hub, serve

ADDRESS = "127.0.0.9"
HOSTS = ("phys.coursehub.test", "www.phys.coursehub.test", "*.phys.coursehub.test")
OLD, NEW = {"hub": "a1", "course": "b1", "jupyterhub": "5.0"}, {"hub": "a2", "course": "b2", "jupyterhub": "6.0"}

#: Only the course's own server may be asked, and nothing of this computer may be changed. A unit goes on without its
#: connection, so what it runs at its end is never cut off.
SSH = """
trap '' TERM
while :; do case "$1" in root@{address}) shift; break;; "") exit 255;; *) shift;; esac; done
exec env -i PATH={programs}:/usr/bin:/bin sh -c "$*"
"""
#: Runs the program, and then what the unit runs at its end.
SYSTEMD_RUN = """
while [ "$1" != -- ] && [ "${1#/}" = "$1" ]; do
    case "$1" in --property=ExecStopPost=*) after="${1#--property=ExecStopPost=}";; esac
    shift
done
[ "$1" = -- ] && shift
"$@"; ended=$?
[ -z "$after" ] || $after > /dev/null
exit $ended
"""
GUARD = """
echo '{"saved": {}}'
while read -r word rest; do case $word in
    keep) echo '{"kept": true}'; exit;;
    back) echo 'now stopping the hub'; echo '{"kept": false, "seconds": 3.2, "lost": ""}'; exit;;
esac; done
"""


def state(name: str, *, failed: str = "", changed: bool = True) -> StateResult:
    return StateResult(
        state=name, name=f"the {name}", sls="jupyterhub.install", comment=failed, result=not failed,
        changes={"new": "x"} if changed else {}, warnings=(), seconds=0.1, order=1,
    )  # fmt: skip


@dataclass
class Upgrading:
    """The course, and what the test says of its server."""

    project: Project
    programs: Programs
    hub: Hub
    #: The states that were asked for: a plan is ("test", ...).
    asked: list[tuple[str, ...]] = field(default_factory=list)
    planned: list[StateResult] = field(default_factory=list)
    tools: list[StateResult] = field(default_factory=list)
    applied: list[StateResult] = field(default_factory=list)
    #: What happens when all states run.
    apply: Callable[[], None] = lambda: None

    def says(self, word: str, script: str) -> None:
        """What the server's ``coursehub-upgrade WORD`` does, as a shell script."""
        (self.programs.directory / f"on-{word}").write_text(script)

    def answers(self, word: str, **document: Any) -> None:
        self.says(word, f"cat <<'END'\n{json.dumps(document)}\nEND\n")

    def highstate(self, *_: Any, sls: tuple[str, ...] = (), test: bool = False, **__: Any) -> Report:
        self.asked.append((*(["test"] if test else []), *sls))
        if not sls:
            self.apply()
            self.answers("look", serves=NEW, no_way_back="")
            return Report("phys", tuple(self.applied))
        return Report("phys", tuple(self.planned if test else self.tools))

    @property
    def commands(self) -> list[str]:
        """What ``coursehub-upgrade`` on the server was asked for, without its looks."""
        found = [" ".join(words) for words in self.programs.calls("coursehub-upgrade")]
        return [one for one in found if one != "look"]

    def reset(self) -> None:
        """A server with the old version, for which there is a new one that works."""
        for path in self.programs.directory.glob("*.calls"):
            path.unlink()
        self.hub.behaviour = Behaviour()
        self.asked = []
        self.planned, self.tools = [state("uv_env.installed")], []
        self.applied = [state("uv_env.installed")]
        self.apply = lambda: None
        self.programs.add("systemctl")
        self.answers("look", serves=OLD, no_way_back="")
        self.answers("mend", mended="idle")
        self.says("try", f"echo 'now building'; echo '{json.dumps({'seconds': {'kernel': 1.0}, 'environments': []})}'")
        self.says("guard", GUARD)
        self.answers("debian", waiting=[], reboot=[])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrading]:
    """Made once for the module: the course's server and its hub."""
    directory = tmp_path_factory.mktemp("upgrading")
    project = phys(directory / "root")
    authority = Authority(directory)
    (directory / "api").mkdir()
    with pytest.MonkeyPatch.context() as patched, served(directory / "api") as api:
        patched.setenv("COURSEHUB_ROOT", str(project.root))
        patched.setenv("DIGITALOCEAN_END_POINT", f"{api.url}/v2/")
        patched.setenv("DIGITALOCEAN_ACCESS_TOKEN", TOKEN)
        patched.setenv("SSL_CERT_FILE", str(authority.bundle))
        patched.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(authority.bundle))
        hub = Hub(password=Passwords(project, "phys").ensure([CHECK_ACCOUNT])[CHECK_ACCOUNT].clear)
        _up(api, project, patched)
        programs = Programs.install(directory / "programs", patched)
        programs.add("ssh", SSH.format(address=ADDRESS, programs=programs.directory))
        programs.add("systemd-run", SYSTEMD_RUN)
        programs.add("coursehub-upgrade", f'. {programs.directory}/on-"$1"')
        command = str(programs.directory / "coursehub-upgrade")
        patched.setattr(upgrade, "_COMMAND", command)
        patched.setattr(debian, "_COMMAND", f"{command} debian")
        found = Upgrading(project, programs, hub)
        patched.setattr(saltssh, "highstate", found.highstate)
        with serve(hub, ADDRESS, authority.server_context(*HOSTS)):
            Names(dict.fromkeys(HOSTS, ADDRESS), {443: hub.https_port, 80: hub.http_port}).install(patched)
            yield found


def _up(api: Api, project: Project, patched: pytest.MonkeyPatch) -> None:
    """As if ``up`` had finished: nothing answers at the address yet, so it ends at its first contact."""
    patched.setattr(api.machines, "address", lambda _slot: ADDRESS)
    with pytest.MonkeyPatch.context() as typed, pytest.raises(SystemExit):
        typed.setattr(runner.servers.access, "SSH_SECONDS", 0.2)
        typed.setattr("sys.argv", ["coursehub", "up", "phys", "--yes"])
        main()
    access = Access(project, "phys")
    for path in access.directory.glob("first_host_key*"):
        path.unlink()
    access.known_hosts.write_text("known")


@pytest.fixture
def server(made: Upgrading) -> Upgrading:
    made.reset()
    return made
