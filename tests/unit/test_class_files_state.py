"""The directories that a class shares, made in a mount namespace of the test's own: who gets in is tried as them."""

import json
import os
import subprocess
import sys

import pytest

from tests.unit.test_accounts_state import ENTER, REPO, needs_root

pytestmark = [pytest.mark.unit, needs_root]
STATES = REPO / "salt/_states"

DRIVER = """
import importlib.util, json, subprocess, sys
from pathlib import Path
def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(sys.argv[1]) / f"{name}.py")
    state = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(state)
    return state
accounts, files = load("class_accounts"), load("class_files")
ROLES = ["students", "instructors", "assistants"]
out = []
for step in json.load(sys.stdin):
    for command in step.get("before", []):
        subprocess.run(command, shell=True, check=True)
    accounts.__opts__ = files.__opts__ = {"test": step.get("test", False)}
    made = accounts.managed("class", step["people"], groups=ROLES, team_prefix="team-")
    assert made["result"] is not False, made
    done = files.managed(
        "/srv/class", readers="class", writers=["instructors", "assistants"], team_prefix="team-", people=ROLES)
    out.append([made["changes"], done, [subprocess.run(one, shell=True, capture_output=True, text=True).returncode
                                        for one in step.get("try", [])]])
print(json.dumps(out))
"""
ON_TMPFS = 'mount -t tmpfs tmpfs /srv\n"$@"'

PEOPLE = {
    "ada": {"groups": ["students", "team-blue"]},
    "bob": {"groups": ["students", "team-blue", "team-red"]},
    "eve": {"groups": ["students"]},
    "prof": {"groups": ["instructors"]},
}
DIRECTORIES = [
    "/srv/class",
    "/srv/class/groups",
    "/srv/class/shared",
    "/srv/class/groups/blue",
    "/srv/class/groups/red",
]


def run(tmp_path, *steps, after="", driver=DRIVER):
    enter = ENTER.replace('"$@"', ON_TMPFS, 1)
    argv = ["unshare", "--mount", "sh", "-c", enter, "sh", str(tmp_path), sys.executable, "-c", driver, str(STATES)]
    done = subprocess.run(
        argv, input=json.dumps(steps), capture_output=True, text=True, check=False, env={**os.environ, "AFTER": after}
    )
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("\n")
    return json.loads(first), rest.strip()


def as_(account, command):
    """A command as a person's server runs it: with their groups, and its umask."""
    return f"runuser -u {account} -- sh -c 'umask 0007; {command}'"


def test_directories_and_links_are_made_once(tmp_path):
    steps = [{"people": PEOPLE}, {"people": PEOPLE, "test": True}, {"people": PEOPLE}]
    shown = "readlink /home/ada/shared /home/ada/groups/blue; ls /home/ada/groups /home/eve"
    shown += "; stat -c '%U %a' /home/ada/groups"
    (first, plan, again), said = run(tmp_path, *steps, after=shown)
    assert first[1]["result"] is True, first[1]["comment"]
    assert set(first[1]["changes"]) == {*DIRECTORIES, "/home/ada", "/home/bob", "/home/eve", "/home/prof"}
    for later in (plan, again):
        assert (later[1]["result"], later[1]["changes"]) == (True, {}), later
    assert said.split() == [
        *("/srv/class/shared", "/srv/class/groups/blue"),
        *("/home/ada/groups:", "blue", "/home/eve:", "shared", "ada", "700"),
    ]


def test_a_plan_touches_nothing(tmp_path):
    steps = [{"people": PEOPLE, "test": True}, {"people": PEOPLE}]
    (plan, _), _ = run(tmp_path, *steps)
    # No group is there yet, so there is nothing to compare with.
    assert (plan[1]["result"], plan[1]["changes"]) == (None, {})


def test_what_one_of_a_team_writes_the_others_change_and_nobody_else_gets_in(tmp_path):
    blue = "/home/ada/groups/blue"
    tries = {
        as_("ada", f"echo one > {blue}/a && mkdir {blue}/d && echo x > ~/mine && cp ~/mine {blue}/d/copied"): 0,
        as_("bob", "echo two >> ~/groups/blue/a && echo two >> ~/groups/blue/d/copied && rm ~/groups/blue/d/copied"): 0,
        # A program that takes its file's rights away by its umask.
        as_("ada", f"umask 0077; echo one > {blue}/closed"): 0,
        as_("bob", "echo two >> ~/groups/blue/closed"): 0,
        as_("eve", "ls /srv/class/groups/blue"): 2,
        as_("prof", "ls /srv/class/groups/blue"): 2,
        as_("prof", "cat /srv/class/groups/blue/a"): 1,
        as_("ada", "ls /srv/class/groups/red"): 2,
    }
    ((_, _, codes),), _ = run(tmp_path, {"people": PEOPLE, "try": list(tries)})
    assert dict(zip(tries, codes, strict=True)) == tries


def test_teachers_write_what_all_read(tmp_path):
    tries = {
        as_("prof", "umask 0077; echo notes > ~/shared/notes && mkdir ~/shared/week1 && echo x > ~/shared/week1/x"): 0,
        as_("ta", "echo more >> ~/shared/notes && cp ~/shared/week1/x ~/shared/week1/y"): 0,
        as_("eve", "cat ~/shared/notes ~/shared/week1/y"): 0,
        as_("eve", "echo mine >> ~/shared/notes"): 2,
        as_("eve", "touch ~/shared/mine"): 1,
        as_("eve", "touch ~/shared/week1/mine"): 1,
        "runuser -u nobody -- ls /srv/class/shared": 2,
    }
    people = {**PEOPLE, "ta": {"groups": ["assistants"]}}
    ((_, _, codes),), _ = run(tmp_path, {"people": people, "try": list(tries)})
    assert dict(zip(tries, codes, strict=True)) == tries


def test_who_leaves_a_team_loses_it_and_a_team_of_nobody_keeps_its_files(tmp_path):
    left = {**PEOPLE, "ada": {"groups": ["students"]}, "bob": {"groups": ["students"]}}
    write = as_("ada", "echo work > ~/groups/blue/work")
    again = {
        as_("ada", "cat /srv/class/groups/blue/work"): 1,
        as_("bob", "ls /srv/class/groups/red"): 2,
        "cat /srv/class/groups/blue/work": 0,
        "test -e /home/ada/groups/blue": 1,
        "test -d /home/ada/groups": 0,
    }
    steps = [{"people": PEOPLE, "try": [write]}, {"people": left, "try": list(again)}]
    steps += [{"people": left}, {"people": PEOPLE}]
    (_, gone, after, back), said = run(tmp_path, *steps, after=as_("ada", "cat ~/groups/blue/work"))
    assert gone[0] == {"ada": "leaves team-blue", "bob": "leaves team-blue, team-red"}
    assert gone[1]["changes"] == {
        "/home/ada": "no link groups/blue",
        "/home/bob": "no link groups/blue, no link groups/red",
    }
    assert dict(zip(again, gone[2], strict=True)) == again
    assert after[1]["changes"] == {}
    assert back[1]["changes"] == {"/home/ada": "link groups/blue", "/home/bob": "link groups/blue, link groups/red"}
    assert said == "work"


def test_what_a_student_has_of_that_name_stays(tmp_path):
    own = [
        "useradd -m ada; useradd -m bob; chmod 700 /home/ada /home/bob",
        "runuser -u ada -- sh -c 'echo own > ~/shared; echo own > ~/groups'",
        "runuser -u bob -- sh -c 'mkdir -p ~/shared ~/groups/blue; touch ~/groups/blue/own'",
    ]
    steps = [{"people": PEOPLE, "before": own}, {"people": PEOPLE}]
    shown = "cat /home/ada/shared /home/ada/groups; ls /home/bob/groups/blue"
    (first, again), said = run(tmp_path, *steps, after=shown)
    assert first[1]["result"] is True, first[1]["comment"]
    assert "/home/ada" not in first[1]["changes"]
    assert first[1]["changes"]["/home/bob"] == "link groups/red"
    assert again[1]["changes"] == {}
    assert said.split() == ["own", "own", "own"]


@pytest.mark.parametrize("trap", ["ln -s /etc ~/groups", "mkdir /tmp/$$.d; ln -s /tmp/$$.d ~/groups"])
def test_root_writes_nowhere_that_a_students_link_leads_to(tmp_path, trap):
    made = f"useradd -m ada; chmod 700 /home/ada; runuser -u ada -- sh -c '{trap}'"
    steps = [{"people": PEOPLE, "before": [made]}, {"people": PEOPLE}]
    shown = "ls /etc/blue $(readlink /home/ada/groups)/blue 2>&1 | grep -c 'No such'"
    (first, again), said = run(tmp_path, *steps, after=shown)
    assert first[1]["result"] is True, first[1]["comment"]
    assert first[1]["changes"]["/home/ada"] == "link shared"
    assert again[1]["changes"] == {}
    assert said == "2"


def test_a_directory_that_was_opened_is_closed_again(tmp_path):
    opened = "chmod 777 /srv/class/groups/blue; setfattr -x system.posix_acl_default /srv/class/shared 2>/dev/null || "
    opened += f"{sys.executable} -c \"import os; os.removexattr('/srv/class/shared', 'system.posix_acl_default')\""
    steps = [{"people": PEOPLE}, {"people": PEOPLE, "before": [opened]}, {"people": PEOPLE}]
    (_, mended, again), said = run(tmp_path, *steps, after="stat -c %a /srv/class/groups/blue")
    assert mended[1]["changes"] == {"/srv/class/groups/blue": "rights set", "/srv/class/shared": "rights set"}
    assert again[1]["changes"] == {}
    assert said == "2770"


def test_an_accounts_own_group_is_no_teams(tmp_path):
    made = "useradd -m team-x; useradd -m ada; chmod 700 /home/ada"
    ((_, done, _),), said = run(tmp_path, {"people": PEOPLE, "before": [made]}, after="ls /srv/class/groups")
    assert done["result"] is True
    assert said.split() == ["blue", "red"]


def test_an_account_that_begins_like_a_team_is_refused(tmp_path):
    people = {**PEOPLE, "team-x": {"groups": ["students"]}}
    lenient = DRIVER.replace('assert made["result"] is not False, made', "pass")
    ((changes, _, codes),), _ = run(tmp_path, {"people": people, "try": ["id team-x", "id ada"]}, driver=lenient)
    assert "team-x" not in changes
    assert codes == [1, 0]
