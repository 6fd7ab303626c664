"""Shared directories, made in a private mount namespace and tried as their users; and links to them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jinja2
import pytest

from tests.support.own_etc import ENTER, needs_root
from tests.support.sandbox import REPO

pytestmark = [pytest.mark.unit, needs_root]
STATES = REPO / "salt/_states"

DRIVER = """
import importlib.util, json, subprocess, sys
sys.path.append(str(__import__("pathlib").Path(sys.argv[1]).parent / "_utils"))
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
        "/srv/class", readers="class", writers=["instructors", "assistants"], team_prefix="team-")
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
    """A command with the groups and the umask of a person's server."""
    return f"runuser -u {account} -- sh -c 'umask 0007; {command}'"


def test_directories_are_made_once_and_homes_are_left_alone(tmp_path):
    steps = [{"people": PEOPLE}, {"people": PEOPLE, "test": True}, {"people": PEOPLE}]
    (first, plan, again), said = run(tmp_path, *steps, after="ls /home/ada /home/prof")
    assert first[1]["result"] is True, first[1]["comment"]
    assert set(first[1]["changes"]) == set(DIRECTORIES)
    for later in (plan, again):
        assert (later[1]["result"], later[1]["changes"]) == (True, {}), later
    assert said.split() == ["/home/ada:", "/home/prof:"]


def test_a_plan_touches_nothing(tmp_path):
    steps = [{"people": PEOPLE, "test": True}, {"people": PEOPLE}]
    (plan, _), _ = run(tmp_path, *steps)
    # There is no group yet, so nothing can be compared.
    assert (plan[1]["result"], plan[1]["changes"]) == (None, {})


def test_team_files_are_shared_with_the_team_only(tmp_path):
    blue = "/srv/class/groups/blue"
    tries = {
        as_("ada", f"echo one > {blue}/a && mkdir {blue}/d && echo x > ~/mine && cp ~/mine {blue}/d/copied"): 0,
        as_("bob", f"echo two >> {blue}/a && echo two >> {blue}/d/copied && rm {blue}/d/copied"): 0,
        # A program that removes its file's rights with its umask.
        as_("ada", f"umask 0077; echo one > {blue}/closed"): 0,
        as_("bob", f"echo two >> {blue}/closed"): 0,
        # As far as the program allows the group: see README.md about copies.
        as_("ada", f"touch ~/own && chmod 600 ~/own && cp ~/own {blue}/own"): 0,
        as_("bob", f"echo two >> {blue}/own"): 2,
        as_("ada", f"chmod g+rw {blue}/own"): 0,
        as_("bob", f"echo three >> {blue}/own"): 0,
        as_("eve", "ls /srv/class/groups/blue"): 2,
        as_("prof", "ls /srv/class/groups/blue"): 2,
        as_("prof", "cat /srv/class/groups/blue/a"): 1,
        as_("ada", "ls /srv/class/groups/red"): 2,
    }
    ((_, _, codes),), _ = run(tmp_path, {"people": PEOPLE, "try": list(tries)})
    assert dict(zip(tries, codes, strict=True)) == tries


def test_teachers_write_what_all_read(tmp_path):
    shared = "/srv/class/shared"
    tries = {
        as_("prof", f"umask 0077; echo notes > {shared}/notes && mkdir {shared}/week1 && echo x > {shared}/week1/x"): 0,
        as_("ta", f"echo more >> {shared}/notes && cp {shared}/week1/x {shared}/week1/y"): 0,
        as_("eve", f"cat {shared}/notes {shared}/week1/y"): 0,
        as_("eve", f"echo mine >> {shared}/notes"): 2,
        as_("eve", f"touch {shared}/mine"): 1,
        as_("eve", f"touch {shared}/week1/mine"): 1,
        "runuser -u nobody -- ls /srv/class/shared": 2,
    }
    people = {**PEOPLE, "ta": {"groups": ["assistants"]}}
    ((_, _, codes),), _ = run(tmp_path, {"people": people, "try": list(tries)})
    assert dict(zip(tries, codes, strict=True)) == tries


def test_leaving_a_team_ends_access_and_keeps_files(tmp_path):
    left = {**PEOPLE, "ada": {"groups": ["students"]}, "bob": {"groups": ["students"]}}
    write = as_("ada", "echo work > /srv/class/groups/blue/work")
    again = {
        as_("ada", "cat /srv/class/groups/blue/work"): 1,
        as_("bob", "ls /srv/class/groups/red"): 2,
        "cat /srv/class/groups/blue/work": 0,
    }
    steps = [{"people": PEOPLE, "try": [write]}, {"people": left, "try": list(again)}]
    steps += [{"people": left}, {"people": PEOPLE}]
    (_, gone, after, back), said = run(tmp_path, *steps, after=as_("ada", "cat /srv/class/groups/blue/work"))
    assert gone[0] == {"ada": "leaves team-blue", "bob": "leaves team-blue, team-red"}
    assert dict(zip(again, gone[2], strict=True)) == again
    assert [step[1]["changes"] for step in (gone, after, back)] == [{}, {}, {}]
    assert said == "work"


# -- links in homes, each made by its owner's own server --


@pytest.fixture
def start():
    """The command that starts a person's server; the server itself only reports that it runs."""
    place = Path(tempfile.mkdtemp(prefix="coursehub-start-"))
    place.chmod(0o755)
    (place / "env/bin").mkdir(parents=True)
    (place / "env/bin/python").write_text("#!/bin/sh\necho runs\n")
    links = {"root": "/srv/class", "names": ["shared", "data"], "team_prefix": "team-"}
    text = (REPO / "formulas/course_env/files/start-server.sh").read_text()
    (place / "lib/class_server").mkdir(parents=True)
    shutil.copy(REPO / "formulas/course_env/files/class_server/limited.py", place / "lib/class_server")
    facts = {"class_links": links, "earlier": "/srv/earlier", "python": "/usr/bin/python3", "lib": place / "lib"}
    (place / "start").write_text(jinja2.Template(text).render(link=place / "env", **facts))
    for program in (place / "start", place / "env/bin/python"):
        program.chmod(0o755)
    yield lambda account: as_(account, f"export HOME=/home/{account}; {place}/start | grep -qx runs")
    shutil.rmtree(place)


LINKS = "cd /home/{}; find . -type l -printf '%P>%l\\n' | sort | tr '\\n' ' '; echo"


def links_of(*accounts):
    return "; ".join(LINKS.format(account) for account in accounts)


def test_whose_server_starts_has_the_links(tmp_path, start):
    tries = [start("ada"), start("prof"), start("eve"), start("eve"), as_("ada", "echo ours > ~/groups/blue/plan")]
    steps = {"people": PEOPLE, "before": ["mkdir -p /srv/class/data"], "try": tries}
    shown = f"{links_of('ada', 'eve', 'prof')}; stat -c '%U %a' /home/ada/groups; cat /srv/class/groups/blue/plan"
    ((_, _, codes),), said = run(tmp_path, steps, after=shown)
    assert codes == [0] * 5
    both = "data>/srv/class/data shared>/srv/class/shared"
    assert [line.strip() for line in said.splitlines()] == [
        "data>/srv/class/data groups/blue>/srv/class/groups/blue shared>/srv/class/shared",
        *(both, both, "ada 700", "ours"),
    ]  # fmt: skip


def test_links_to_what_was_left_or_is_gone_go_and_others_stay(tmp_path, start):
    own = as_("bob", "cd ~/groups; ln -s /srv/class/groups/red/plan plan; ln -s /nowhere own; ln -s ~/shared shared")
    left = {**PEOPLE, "bob": {"groups": ["students", "team-blue"]}}
    steps = [
        {"people": PEOPLE, "before": ["mkdir -p /srv/class/data"], "try": [start("bob"), own]},
        {"people": left, "before": ["rmdir /srv/class/data"], "try": [start("bob")]},
    ]
    (first, second), said = run(tmp_path, *steps, after=links_of("bob"))
    assert (first[2], second[2]) == ([0, 0], [0])
    assert said.split() == [
        *("groups/blue>/srv/class/groups/blue", "groups/own>/nowhere", "groups/plan>/srv/class/groups/red/plan"),
        *("groups/shared>/home/bob/shared", "shared>/srv/class/shared"),
    ]


@pytest.mark.parametrize(
    "own",
    [
        "echo own > shared; echo own > groups; ln -s /nowhere data",
        "mkdir -p shared groups/blue data; touch groups/blue/own groups/red",
        "ln -s /etc groups; ln -s /etc shared; ln -s shared data",
        "mkdir mine; ln -s mine groups; mkfifo shared data",
        "mkdir -m 0555 groups; ln -s groups shared; ln -s . data; chmod 0500 .",
    ],
)
def test_what_else_has_such_a_name_stays_and_the_server_starts(tmp_path, start, own):
    seen = "find /home/bob /etc -printf '%p %y %l %m\\n' | sort >"
    made = ["mkdir -p /srv/class/data", "useradd -m bob; chmod 700 /home/bob", f"runuser -u bob -- sh -c 'cd; {own}'"]
    tries = [f"{seen} /home/before", start("bob"), f"{seen} /home/after; cmp /home/before /home/after"]
    ((_, done, codes),), _ = run(tmp_path, {"people": PEOPLE, "before": made, "try": tries})
    assert done["result"] is True, done["comment"]
    assert codes == [0, 0, 0]


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
