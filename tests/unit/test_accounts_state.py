"""The state of a class's accounts: its comparison anywhere; its changes as root, on a private copy of /etc."""

import grp
import importlib.util
import json
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import coursehub_accounts
import pytest

from tests.support.own_etc import ENTER, needs_root

pytestmark = pytest.mark.unit
REPO = Path(__file__).parents[2]
STATE = REPO / "salt/_states/class_accounts.py"
HASH = "$6$salt$" + "a" * 86
OTHER = "$6$salt$" + "b" * 86


def load():
    spec = importlib.util.spec_from_file_location("class_accounts", STATE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__opts__ = {"test": False}
    return module


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """The comparison, on a machine that the test describes."""
    module = load()
    users, groups, shadow = {}, {}, {}

    def user(name, uid=1001, password="*", expires="", groups_of=("class",), mode=0o700):
        home = tmp_path / "home" / name
        home.mkdir(parents=True)
        home.chmod(mode)
        # The homes belong to the user who runs the test, so this is their uid.
        uid = os.getuid() if uid >= 1000 else uid
        users[name] = pwd.struct_passwd((name, "x", uid, uid, "", str(home), "/bin/bash"))
        shadow[name] = (password, expires)
        for group in groups_of:
            groups.setdefault(group, []).append(name)

    monkeypatch.setattr(pwd, "getpwall", lambda: list(users.values()))
    monkeypatch.setattr(grp, "getgrall", lambda: [grp.struct_group((g, "x", 2000, m)) for g, m in groups.items()])
    monkeypatch.setattr(coursehub_accounts, "shadow", lambda: shadow)
    monkeypatch.setattr(coursehub_accounts, "FIRST_UID", 0 if os.getuid() == 0 else 1000)
    monkeypatch.setattr(module, "RECORD", tmp_path / "accounts.json")
    module.user = user
    module.groups = groups
    module.__opts__ = {"test": True}
    return module


def planned(machine, people, **options):
    return machine.managed("class", people, home_root="/home", **options)


def test_who_is_as_they_should_be_is_no_change(machine):
    machine.user("ada", password=HASH, groups_of=("class", "students"))
    result = planned(machine, {"ada": {"groups": ["students"], "password_hash": HASH}}, groups=["students"])
    assert (result["result"], result["changes"]) == (True, {})


def test_a_new_person_is_planned_and_no_hash_is_shown(machine):
    machine.groups.update({"class": [], "students": []})
    result = planned(machine, {"ada": {"groups": ["students"], "password_hash": HASH, "fullname": "Ada Lovelace"}})
    assert result["result"] is None
    assert result["changes"] == {"ada": "made, home made, joins class, students, password set"}
    assert HASH not in json.dumps(result)
    assert "Lovelace" not in json.dumps(result)


def test_a_password_that_its_owner_changed_stays(machine):
    machine.user("ada", password=OTHER)
    result = planned(machine, {"ada": {"password_hash": HASH}})
    assert result["changes"] == {}


def test_a_new_hash_in_pillar_is_set(machine):
    machine.user("ada", password=OTHER)
    machine.RECORD.write_text(json.dumps({"ada": coursehub_accounts.fingerprint({"password_hash": OTHER})}))
    assert planned(machine, {"ada": {"password_hash": HASH}})["changes"] == {"ada": "password set"}


def test_a_first_hash_for_an_account_without_password(machine):
    machine.user("ada", password="!")
    assert planned(machine, {"ada": {"password_hash": HASH}})["changes"] == {"ada": "password set"}


@pytest.mark.parametrize("people", [{}, {"ada": {"present": False}}])
def test_who_is_gone_is_locked_and_leaves_the_groups(machine, people):
    machine.user("ada", password=HASH, groups_of=("class", "students"))
    result = planned(machine, people, groups=["students"])
    assert result["changes"] == {"ada": "locked, leaves students"}


def test_who_is_locked_already_is_no_change(machine):
    machine.user("ada", password="!" + HASH, expires="1")
    machine.groups["students"] = []
    assert planned(machine, {}, groups=["students"])["changes"] == {}


def test_who_comes_back_is_unlocked(machine):
    machine.user("ada", password="!" + HASH, expires="1")
    assert planned(machine, {"ada": {"password_hash": OTHER}})["changes"] == {"ada": "unlocked"}


def test_a_home_that_others_can_read_is_made_private(machine):
    machine.user("ada", mode=0o755)
    assert planned(machine, {"ada": {}})["changes"] == {"ada": "home made private"}


def test_a_role_that_changed_moves_between_groups(machine):
    machine.user("ada", groups_of=("class", "assistants"))
    machine.groups["students"] = []
    result = planned(machine, {"ada": {"groups": ["students"]}}, groups=["students", "assistants"])
    assert result["changes"] == {"ada": "joins students, leaves assistants"}


def test_stranger_in_a_managed_group_is_removed_but_not_locked(machine):
    machine.user("operator", groups_of=("instructors",))
    machine.groups["class"] = []
    assert planned(machine, {}, groups=["instructors"])["changes"] == {"operator": "leaves instructors"}


@pytest.mark.parametrize("account", ["Ada", "a.b", "a b", "1ada", "a" * 33, "ada:x", "-r", "ada\n"])
def test_names_that_unix_does_not_take_are_refused(machine, account):
    machine.groups["class"] = []
    result = planned(machine, {account: {}})
    assert result["result"] is False
    assert "not a Unix account's name" in result["comment"]
    assert result["changes"] == {}


def test_an_account_of_the_system_is_never_taken(machine, monkeypatch):
    monkeypatch.setattr(coursehub_accounts, "FIRST_UID", os.getuid() + 1)
    machine.user("daemon", groups_of=())
    machine.groups["class"] = []
    result = planned(machine, {"daemon": {"password_hash": HASH}})
    assert result["result"] is False
    assert "the system has an account of that name" in result["comment"]
    assert result["changes"] == {}


# Runs the changes in a private mount namespace in which /etc, /home and the record are copies.
DRIVER = """
import importlib.util, json, pathlib, sys
sys.path.append(str(pathlib.Path(sys.argv[1]).parents[1] / "_utils"))
spec = importlib.util.spec_from_file_location("class_accounts", sys.argv[1])
state = importlib.util.module_from_spec(spec)
spec.loader.exec_module(state)
out = []
for options in json.load(sys.stdin):
    for command in options.pop("before", []):
        import subprocess
        subprocess.run(command, shell=True, check=True)
    state.__opts__ = {"test": options.pop("test", False)}
    out.append(state.managed("class", **options))
print(json.dumps(out))
"""


def run(tmp_path, *steps, after=""):
    """Run the state once per step; return its results and the output of ``after`` in the same namespace."""
    argv = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(tmp_path), sys.executable, "-c", DRIVER, str(STATE)]
    done = subprocess.run(
        argv, input=json.dumps(steps), capture_output=True, text=True, check=False, env={**os.environ, "AFTER": after}
    )
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("\n")
    return json.loads(first), rest.strip()


CLASS = {
    "ada": {"groups": ["students"], "password_hash": HASH},
    "prof": {"groups": ["instructors"], "password_hash": HASH},
}
GROUPS = ["students", "instructors"]


@needs_root
def test_accounts_are_made_once(tmp_path):
    step = {"people": CLASS, "groups": GROUPS}
    after = "id -nG ada; stat -c '%a %U' /home/ada; getent shadow ada | cut -d: -f2; getent passwd ada | cut -d: -f5,7"
    (plan, made, again), shown = run(tmp_path, {**step, "test": True}, step, step, after=after)
    assert plan["result"] is None
    assert made["result"] is True, made["comment"]
    assert (
        plan["changes"].keys()
        == made["changes"].keys()
        == {"group class", "group students", "group instructors", *CLASS}
    )
    assert (again["result"], again["changes"]) == (True, {})
    groups, home, shadow, passwd = shown.splitlines()
    assert groups.split() == ["ada", "class", "students"]
    assert home == "700 ada"
    assert shadow == HASH
    assert passwd == ":/bin/bash"


@needs_root
def test_leaving_and_coming_back_keeps_files_and_password(tmp_path):
    step = {"people": CLASS, "groups": GROUPS}
    gone = {"people": {"prof": CLASS["prof"]}, "groups": GROUPS}
    own = "echo work > /home/ada/lab.ipynb; usermod --password '" + OTHER + "' ada"
    locked = "getent shadow ada | cut -d: -f2,8 > /etc/seen-locked"
    results, shown = run(
        tmp_path,
        step,
        {**gone, "before": [own]},
        {**step, "before": [locked]},
        step,
        after="cat /etc/seen-locked; getent shadow ada | cut -d: -f2,8; cat /home/ada/lab.ipynb; id -nG ada",
    )
    assert [result["result"] for result in results] == [True] * 4
    assert results[1]["changes"] == {"ada": "locked, leaves students"}
    assert results[2]["changes"] == {"ada": "unlocked, joins students"}
    assert results[3]["changes"] == {}
    assert shown.splitlines() == [f"!{OTHER}:1", f"{OTHER}:", "work", "ada class students"]


@needs_root
def test_who_leaves_a_group_loses_the_server_that_still_has_it(tmp_path, monkeypatch):
    """Nobody else's server ends, whether they stay in a team or join one."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/done\n')
    (programs / "gpasswd").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/done\nexec /usr/bin/gpasswd "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    before = {"ada": {"groups": ["students", "team-red"]}, "bob": {"groups": ["students", "team-red"]}, "eve": {}}
    after = {
        "ada": {"groups": ["students"]},
        "bob": {"groups": ["students", "team-red"]},
        "eve": {"groups": ["team-red"]},
    }
    options = {"groups": GROUPS, "team_prefix": "team-", "stop_units": ["jupyter-{account}.service"]}
    (_, changed), shown = run(
        tmp_path, {"people": before, **options}, {"people": after, **options}, after="id -nG ada; id -nG eve"
    )
    assert changed["changes"] == {"ada": "leaves team-red", "eve": "joins team-red"}
    assert shown.splitlines() == ["ada class students", "eve class team-red"]
    # A run that is killed in between leaves the group, which the next run finds, or no server with it.
    stop = "stop --no-block jupyter-ada.service"
    assert (tmp_path / "done").read_text().splitlines() == [stop, "--delete ada team-red", stop]


@needs_root
def test_who_goes_or_comes_back_has_everything_ended_first(tmp_path, monkeypatch):
    """Even if the account files cannot be changed (S6).

    A changed role ends everything, a changed team only the server.
    """
    programs = tmp_path / "programs"
    programs.mkdir()
    log = f'echo "$(basename "$0")" "$@" >> {tmp_path}/done'
    (programs / "leave").write_text(f"#!/bin/sh\n{log}\n")
    (programs / "systemctl").write_text(f"#!/bin/sh\n{log}\n")
    (programs / "usermod").write_text(
        f"#!/bin/sh\n{log}\n[ -e {tmp_path}/stuck ] && {{ echo 'usermod: cannot lock /etc/passwd' >&2; exit 1; }}\n"
        'exec /usr/sbin/usermod "$@"\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    options = {
        "groups": ["students", "assistants"], "team_prefix": "team-", "stop_units": ["jupyter-{account}.service"],
        "leave": str(programs / "leave"), "left_file": "/x/left.json",
    }  # fmt: skip
    ada = {"ada": {"groups": ["students", "team-red"], "password_hash": HASH}}
    promoted = {"ada": {"groups": ["assistants"], "password_hash": HASH}}

    def step(people, name):
        return {"people": people, **options, "before": [f"echo {name} >> {tmp_path}/done", *stuck.get(name, [])]}

    stuck = {"stuck": [f"touch {tmp_path}/stuck"], "gone": [f"rm {tmp_path}/stuck"]}
    results, _ = run(
        tmp_path, step(ada, "made"), step({}, "stuck"), step({}, "gone"), step(ada, "back"), step(promoted, "promoted"),
        after="true",
    )  # fmt: skip
    parts, part = {}, None
    for line in (tmp_path / "done").read_text().splitlines():
        if " " not in line:
            part = parts.setdefault(line, [])
        else:
            part.append(line)
    whole = "leave --left /x/left.json --unit jupyter-ada.service ada"
    lock = "usermod --lock --expiredate 1 ada"
    assert [result["result"] for result in results] == [True, False, True, True, True], results
    assert "cannot lock" in results[1]["comment"]
    assert parts["stuck"][:2] == [whole, lock]
    assert parts["gone"][:3] == [whole, lock, "leave --unit jupyter-ada.service ada"]
    assert parts["back"][:2] == [whole, "usermod --expiredate  ada"]
    assert whole in parts["promoted"]


@needs_root
def test_a_run_cut_short_is_finished(tmp_path):
    step = {"people": CLASS, "groups": GROUPS}
    # The machine died after useradd: no home, no password, and a lock file of a process that no longer exists.
    cut = [
        "groupadd class; groupadd students; useradd --no-create-home --home-dir /home/ada ada",
        "mkdir /home/.ada.new; echo half > /home/.ada.new/.profile; printf '999999' > /etc/passwd.lock",
    ]
    (first, second), shown = run(
        tmp_path, {**step, "before": cut}, step, after="stat -c '%a %U' /home/ada; ls -A /home; cat /home/ada/.profile"
    )
    assert first["result"] is True, first["comment"]
    assert second["changes"] == {}
    assert shown.splitlines()[:3] == ["700 ada", "ada", "prof"]
    assert shown.splitlines()[3:] == Path("/etc/skel/.profile").read_text().strip().splitlines()


@needs_root
def test_one_failed_account_does_not_stop_the_others(tmp_path):
    people = {**CLASS, "eve": {"uid": 0}, "mal": {"uid": 4242, "password_hash": HASH}, "ned": {"uid": 4242}}
    (first, second), shown = run(tmp_path, *[{"people": people, "groups": GROUPS}] * 2, after="id -u ada prof mal")
    assert first["result"] is False
    eve, ned = first["comment"].split("; ")
    assert eve == "eve: uid 0 is the system's, take one from 1000 on"
    assert ned.startswith("ned: ")
    assert "4242" in ned
    assert first["changes"].keys() & set(people) == {"ada", "prof", "mal"}
    assert len(shown.splitlines()) == 3
    assert second["result"] is False
    assert second["changes"] == {}


@needs_root
def test_homes_opened_by_their_owner_are_closed_again(tmp_path):
    step = {"people": CLASS, "groups": GROUPS}
    opened = "echo x > /home/ada/f; chmod 644 /home/ada/f; chmod 755 /home/ada"
    (_, closed), shown = run(tmp_path, step, {**step, "before": [opened]}, after="stat -c %a /home/ada /home/ada/f")
    assert closed["changes"] == {"ada": "home made private"}
    assert shown.split() == ["700", "644"]


def test_the_record_holds_no_hash_and_is_private(tmp_path, monkeypatch):
    module = load()
    monkeypatch.setattr(module, "RECORD", tmp_path / "accounts.json")
    module._keep({"ada": {"password_hash": HASH}})
    assert HASH not in module.RECORD.read_text()
    assert stat.S_IMODE(module.RECORD.stat().st_mode) == 0o600
