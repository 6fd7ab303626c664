"""People, passwords and secrets on a real server: who joins, leaves or forgets a password, and what is replaced."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from runner.files import write_private
from runner.hub.client import HubClient, HubFailure, Kernel
from runner.people import ClassList, write
from runner.people import read as read_list
from runner.people.passwords import Passwords
from runner.servers.access import KeyPair
from tests.machine.test_hub import STUDENT, hub_answers, until
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(900)]


def may_sign_in(hub: Hub, account: str, password: str) -> bool:
    with HubClient(hub.document["hostname"], account, Path(hub.document["ca_bundle"])) as client:
        try:
            client.sign_in(password)
        except HubFailure:
            return False
        return True


@pytest.fixture
def listed(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The course with its people in an encrypted class list instead of its own file; restored afterwards."""
    path = hub.sandbox.project.course_file("demo")
    before = path.read_text(encoding="utf-8")
    keys = tmp_path / "keys"
    monkeypatch.setenv("COURSEHUB_KEYS", str(keys))
    people = yaml.safe_load(before)["course"]["people"]
    write(hub.sandbox.project, "demo", ClassList.model_validate(people))
    path.write_text(before[: before.index("  people:")], encoding="utf-8")
    try:
        yield hub
    finally:
        shutil.rmtree(hub.sandbox.project.secrets)
        path.write_text(before, encoding="utf-8")
        hub.sandbox.json("apply", "demo")


def test_people_in_a_class_list_are_the_same_people(listed: Hub) -> None:
    assert listed.sandbox.json("plan", "demo")["courses"]["demo"]["would_change"] == 0
    assert listed.sandbox.json("apply", "demo")["courses"]["demo"]["changed"] == 0
    environment = {key: value for key, value in os.environ.items() if key != "COURSEHUB_KEYS"}
    by_hand = subprocess.run(
        [str(Path(sys.executable).parent / "salt-ssh"), "demo", "state.highstate", "--state-output=terse"],
        cwd=listed.sandbox.root, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert by_hand.returncode == 0, by_hand.stdout + by_hand.stderr
    assert "changed=" not in by_hand.stdout
    assert re.search(r"^Failed: +0$", by_hand.stdout, re.MULTILINE), by_hand.stdout


def test_import_adds_and_removes_people_and_keeps_files(listed: Hub, tmp_path: Path) -> None:
    """Late students come with the LMS's export; who left is locked out, their server ends, their files stay."""
    leaver = "ydemir"
    with listed.sandbox.client(listed.document, leaver) as client:
        client.start_server()
        client.api("PUT", "/api/contents/mine.txt", json={"type": "file", "format": "text", "content": "my work"})
        known = read_list(listed.sandbox.project, "demo")
        staying = [person for person in known.students if person.account != leaver]
        lines = ["Username,Last Name,First Name,Email"]
        lines += [f"{one.account},{one.name.split()[-1]},{one.name.split()[0]},," for one in staying]
        lines += ["late.a,Late,A,late.a@x.edu", "late_a,Late,A,late_a@x.edu"]
        export = tmp_path / "export.csv"
        export.write_text("\n".join(lines), encoding="utf-8")
        imported = listed.sandbox.json("roster", "import", "demo", str(export), "--yes")
        assert len(imported["comes"]) == 2
        assert [person["account"] for person in imported["goes"]] == [leaver]
        came = {person["account"] for person in imported["comes"]}
        assert "late_a" in came
        outcome = listed.sandbox.json("apply", "demo")["courses"]["demo"]
        assert outcome["failed"] == 0
        passwords = Passwords(listed.sandbox.project, "demo").read()
        for account in came:
            assert may_sign_in(listed, account, passwords[account].clear)
        assert not may_sign_in(listed, leaver, passwords[leaver].clear)
        assert listed.run(f"systemctl is-active jupyter-{leaver} || true").strip() != "active"
        assert listed.run(f"cat /home/{leaver}/mine.txt") == "my work"
        # No answer, or the hub's sign-in page once the hub has noticed.
        with contextlib.suppress(HubFailure, requests.RequestException):
            assert client.api("GET", "/api/status").url.startswith(f"{client.base}/hub/login")


def test_a_guest_sees_only_itself(hub: Hub) -> None:
    hub.sandbox.edit(
        "demo", "    students:\n", "    guests:\n      - {account: visitor, name: Vera Visitor}\n    students:\n"
    )
    try:
        hub.sandbox.json("apply", "demo")
        with hub.sandbox.client(hub.document, "visitor") as client:
            assert client.get("/hub/api/users").status_code == 403
            client.start_server()
            with client.kernel() as kernel:
                assert kernel.run("import os; print(oct(os.stat(os.path.expanduser('~')).st_mode)[-3:])") == "700"
            client.stop_server()
    finally:
        hub.sandbox.edit("demo", "    guests:\n      - {account: visitor, name: Vera Visitor}\n", "")
        hub.sandbox.json("apply", "demo")


def test_password_is_changed_and_a_forgotten_one_reset(hub: Hub) -> None:
    account, chosen = "wnowak", "Uphill-7-snails"
    first = Passwords(hub.sandbox.project, "demo").read()[account].clear
    with hub.sandbox.client(hub.document, account) as client:
        client.start_server()
        with client.kernel() as kernel:
            typed = f"{first}\n{chosen}\n{chosen}\n"
            said = kernel.run(
                f"import subprocess; print(subprocess.run(['passwd'], input={typed!r}, text=True).returncode)",
                seconds=60,
            )
            assert said.splitlines()[-1] == "0", said
        client.stop_server()
    assert may_sign_in(hub, account, chosen)
    assert not may_sign_in(hub, account, first)
    assert hub.sandbox.json("apply", "demo")["courses"]["demo"]["changed"] == 0
    assert may_sign_in(hub, account, chosen)

    reset = hub.sandbox.json("passwords", "demo", "--reset", account)
    assert reset["applied"]
    made = Passwords(hub.sandbox.project, "demo").read()[account].clear
    assert Path(reset["file"]).stat().st_mode & 0o777 == 0o600
    assert made in Path(reset["file"]).read_text(encoding="utf-8")
    assert made not in json.dumps(reset)
    assert may_sign_in(hub, account, made)
    assert not may_sign_in(hub, account, chosen)


@pytest.mark.parametrize(
    ("what", "file", "stays_signed_in"),
    [("proxy-token", "/srv/jupyterhub/proxy.env", True), ("cookie-secret", "/srv/jupyterhub/cookie_secret", False)],
)
def test_a_new_secret_of_the_hub_costs_no_kernel(hub: Hub, what: str, file: str, stays_signed_in: bool) -> None:
    before = hub.run(f"sha256sum {file}")
    with hub.sandbox.client(hub.document, STUDENT) as client, contextlib.ExitStack() as kernels:
        client.start_server()
        kernel = kernels.enter_context(client.kernel())
        kernel.run("survivor = 41")
        assert hub.sandbox.json("secrets", "rotate", "demo", what)["disturbs"]
        assert hub.run(f"sha256sum {file}") != before
        assert hub.run(f"stat -c %a {file}").strip() == "600"
        until("the hub after the rotation", lambda: hub_answers(hub), 120)
        assert (client.get("/hub/home", allow_redirects=False).status_code == 200) == stays_signed_in
        with hub.sandbox.client(hub.document, STUDENT) as again:
            again.start_server()
            assert Kernel(again, kernel.id).run("print(survivor + 1)") == "42"
            kernels.pop_all()
            again.stop_server()
    assert hub.sandbox.json("apply", "demo")["courses"]["demo"]["changed"] == 0


def keys_of(hub: Hub) -> Path:
    return hub.sandbox.project.state / "servers" / "demo" / "client_key"


def only_key_is(hub: Hub, public: str) -> None:
    """The server accepts exactly one of our keys, the one that is stored here, and the account has no other."""
    key = keys_of(hub)
    assert sorted(path.name for path in key.parent.glob("client_key*")) == ["client_key", "client_key.pub"]
    assert key.with_name("client_key.pub").read_text().split()[1] == public
    assert hub.run("grep -o 'ssh-ed25519 [^ ]*' /root/.ssh/authorized_keys").split()[1::2] == [public]
    assert hub.sandbox.json("plan", "demo")["courses"]["demo"]["would_change"] == 0


def test_a_new_ssh_key_is_tried_before_the_old_one_goes(hub: Hub) -> None:
    old = keys_of(hub).read_text()
    hub.sandbox.json("secrets", "rotate", "demo", "ssh-key")
    assert keys_of(hub).read_text() != old
    only_key_is(hub, keys_of(hub).with_name("client_key.pub").read_text().split()[1])


def test_a_key_change_that_was_killed_goes_on_with_the_same_key(hub: Hub) -> None:
    """Killed before and during the switch: no verb is locked out in between, and one more rotation completes it.

    tests/unit/test_secrets.py kills it before each step.
    """
    key, pair = keys_of(hub), KeyPair.generate("coursehub")
    write_private(key.with_name("client_key.new"), pair.private)
    hub.sandbox.json("secrets", "rotate", "demo", "ssh-key")
    only_key_is(hub, pair.public.split()[1])

    pair = KeyPair.generate("coursehub")
    hub.run(f"echo '{pair.public}' >> /root/.ssh/authorized_keys")
    shutil.copy2(key, key.with_name("client_key.old"))
    write_private(key, pair.private)
    key.with_name("client_key.pub").unlink()
    notes = hub.sandbox.json("plan", "demo")["courses"]["demo"]["notes"]
    assert [note for note in notes if "'coursehub secrets rotate demo ssh-key' ends it" in note], notes
    hub.sandbox.json("secrets", "rotate", "demo", "ssh-key")
    only_key_is(hub, pair.public.split()[1])
