"""Each protection is removed for a moment, and the attack that it stops succeeds: the suite notices a missing one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

import pytest

from tests.attacks import (
    test_egress_people,
    test_homes,
    test_inner_sockets,
    test_locks,
    test_looking,
    test_packages,
    test_requests,
    test_rights,
    test_tokens,
)
from tests.attacks.conftest import Cast
from tests.attacks.test_looking import trap  # noqa: F401  fixtures that some of the attacks want
from tests.attacks.test_packages import room  # noqa: F401
from tests.support.hub import Hub

pytestmark = [pytest.mark.walls, pytest.mark.disturbs]

#: Applies to every person's server that starts after it. Its name sorts behind that of the drop-in for all services.
DROP_IN = "/run/systemd/system/jupyter-.service.d/zzz-attack.conf"
LIBRARY = "/opt/jupyterhub/lib"


@dataclass(frozen=True)
class Wall:
    """A protection, root's shell scripts that remove and restore it, and the attack that it stops.

    Words in braces are replaced: names of people (by their accounts), ``quiet`` (by a team's directory). ``again``:
    whose servers are restarted, because a running one keeps its restrictions. ``given``: the parameter of a
    parametrized attack. ``shows`` is in the failure of the attack's test if the attack succeeded, and not if it broke
    for another reason.
    """

    name: str
    attack: Callable[..., None]
    shows: str
    away: str
    back: str
    again: tuple[str, ...] = ()
    given: dict[str, Any] = field(default_factory=dict)


def edited(path: str, change: str, then: str) -> dict[str, str]:
    """A protection in a file: a sed expression that must change something, and what activates it."""
    away = f"cp -a {path} {path}.kept; sed -i {quote(change)} {path}; ! cmp -s {path} {path}.kept; {then}"
    return {"away": away, "back": f"[ ! -e {path}.kept ] || mv {path}.kept {path}; {then}"}


def property_of_servers(*lines: str, also: str = "true") -> dict[str, str]:
    """A protection that is a property of people's units; ``also`` is another one, in which ``{bit}`` is setuid on or
    off.
    """
    text = "\\n".join(["[Service]", *lines])
    away = f"mkdir -p $(dirname {DROP_IN}); printf '{text}\\n' > {DROP_IN}; systemctl daemon-reload"
    away, back = (
        f"{what}; {also.replace('{bit}', bit)}"
        for what, bit in ((away, "u+s"), (f"rm -f {DROP_IN}; systemctl daemon-reload", "u-s"))
    )
    return {"away": away, "back": back}


#: Until it answers.
WORK = (
    "systemctl restart jupyterhub-work; timeout 30 python3 -c 'import socket, time\n"
    'while socket.socket(socket.AF_UNIX).connect_ex("/run/coursehub/work/work.sock"): time.sleep(0.1)\''
)
NGINX = "nginx -t -q && systemctl reload nginx && sleep 0.5"
HUB = "systemctl restart jupyterhub"

WALLS = [
    Wall(
        "homes are closed",
        test_homes.test_open_file_in_a_closed_home,
        "assert 0 == 2",
        "chmod 0755 /home/{alice}",
        "chmod 0700 /home/{alice}",
    ),
    Wall(
        "a team's directory is the team's",
        test_homes.test_directory_of_another_team,
        "plan.txt",
        "chmod 2777 {quiet}",
        "chmod 2770 {quiet}",
    ),
    Wall(
        "no link is followed in a team's directory",
        test_homes.test_a_link_in_the_place_of_a_teams_file,
        "DID NOT RAISE",
        "umount --lazy /srv/class/groups",
        "systemctl restart srv-class-groups.mount; findmnt -O nosymfollow /srv/class/groups",
        # On Debian 12 a running server gets the new mount without its options.
        again=("alice",),
    ),
    Wall(
        "each server has its own /tmp",
        test_homes.test_directories_of_anothers_server,
        "hers",
        again=("alice", "mallory"),
        **property_of_servers(
            "TemporaryFileSystem=",
            "TemporaryFileSystem=/run/jupyter-server:mode=1777",
            "ReadWritePaths=/tmp /var/tmp",
        ),
    ),
    Wall(
        "students have no SSH",
        test_rights.test_a_key_of_ones_own_for_ssh,
        "assert 0 == 255",
        **edited("/etc/ssh/sshd_config.d/00-coursehub.conf", "s/^DenyGroups/#&/", "systemctl reload ssh; sleep 0.5"),
    ),
    Wall(
        "no program gains rights",
        test_rights.test_programs_that_run_as_their_owner,
        "True",
        again=("mallory",),
        # The filter of course_env's limited.py forbids new rights too, so it goes with the unit's property. The other
        # properties go because each implies that one in Debian 12's systemd.
        **property_of_servers(
            *("NoNewPrivileges=no", "RestrictNamespaces=no", "RestrictRealtime=no", "RestrictAddressFamilies="),
            *("SystemCallFilter=", "SystemCallArchitectures=", "LockPersonality=no", "PrivateDevices=no"),
            *(f"Protect{part}=no" for part in ("KernelTunables", "KernelModules", "KernelLogs", "Clock", "Hostname")),
            also="chmod {bit} /usr/bin/chsh; cp -n /opt/course/bin/start-server /root/start-server; "
            "if [ {bit} = u+s ]; then sed -i 's#^exec .*limited.py #exec #' /opt/course/bin/start-server; "
            "else mv /root/start-server /opt/course/bin/start-server; fi",
        ),
    ),
    Wall(
        "locks of root's jobs are root's",
        test_locks.test_locks_of_roots_jobs,
        "HELD /var/lib/apt/daily_lock",
        "chmod 0644 /var/lib/apt/daily_lock",
        "chmod 0600 /var/lib/apt/daily_lock",
    ),
    Wall(
        "the reader follows no link",
        test_looking.test_links_out_of_a_home,
        "200 == 404",
        given={"name": "passwd"},
        **edited(f"{LIBRARY}/class_work/reader.py", "s/os.O_NOFOLLOW/0/; s/os.lstat(part/os.stat(part/", WORK),
    ),
    Wall(
        "what a student wrote runs nowhere",
        test_looking.test_a_page_of_a_students_acts_as_the_teacher,
        "default-src *",
        **edited(f"{LIBRARY}/class_work/pages.py", "s/\"sandbox; default-src 'none'/\"default-src */", WORK),
    ),
    Wall(
        "inner sockets let in their two ends",
        test_inner_sockets.test_inner_sockets_are_entered,
        "ENTERED /run/coursehub/servers/",
        "chmod 0755 /run/coursehub/servers; chmod 0666 /run/coursehub/servers/*.sock",
        "chmod 2710 /run/coursehub/servers; chmod 0660 /run/coursehub/servers/*.sock",
    ),
    Wall(
        "people reach no inner service by the network",
        test_egress_people.test_egress_own_ssh_is_reached,
        "connected to 22",
        "nft insert rule inet coursehub output accept",
        "nft -f /etc/nftables.conf",
    ),
    Wall(
        "root imports no package of the course",
        test_packages.test_a_package_of_the_course_runs_as_root,
        "import 0 wrote /root/",
        # This unshare runs the Python that it is given as root.
        "mv /usr/bin/unshare /usr/bin/unshare.kept; cat > /usr/bin/unshare << 'END'\n#!/bin/sh\n"
        'while [ "${{1#/opt/}}" = "$1" ]; do shift; done\nexec "$@"\nEND\nchmod 0755 /usr/bin/unshare',
        "[ ! -e /usr/bin/unshare.kept ] || mv /usr/bin/unshare.kept /usr/bin/unshare",
    ),
    Wall(
        "the hub answers to its own names",
        test_requests.test_a_false_host,
        "301 Moved Permanently",
        given={"host": "evil.example"},
        **edited("/etc/nginx/nginx.conf", "s|return 444;|return 301 https://$host/;|", NGINX),
    ),
    Wall(
        "students have no role",
        test_tokens.test_a_student_opens_pages_for_teachers,
        "200 == 403",
        **edited(
            "/etc/jupyterhub/jupyterhub_config.py",
            's/^c.JupyterHub.load_roles = roles$/&; roles.append({{"name": "all", "groups": ["students"], '
            '"scopes": ["list:users", "admin-ui"]}})/',
            HUB,
        ),
    ),
]


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.name.replace(" ", "-"))
def test_attack_while_its_wall_is_away(wall: Wall, hub: Hub, cast: Cast, request: pytest.FixtureRequest) -> None:
    """Tries: an attack of this suite, with its own test, while the protection that stops it is removed.

    Stopped by: nothing, so that test must fail; it passes again when the protection is restored.
    """
    names = {part: person.account for part, person in cast.people.items()}
    words = {**names, **{team: str(path) for team, path in cast.teams.items()}}
    wanted = inspect.signature(wall.attack).parameters
    arguments = {name: wall.given.get(name) or request.getfixturevalue(name) for name in wanted}

    def run(script: str) -> None:
        hub.run(f"set -e\n{script.format(**words)}\nexit 0")
        for part in wall.again:
            cast.people[part].restart()

    try:
        run(wall.away)
        with pytest.raises((AssertionError, pytest.fail.Exception)) as ended:
            wall.attack(**arguments)
        said = " ".join(str(ended.value).split())
        assert wall.shows in said, said
        print(f"{wall.name}: away, and {wall.attack.__name__} ends with: {said[:300]}")
    finally:
        run(wall.back)
    wall.attack(**arguments)
