"""What still works after signing out, or after leaving: copies of cookies, tokens, processes, timers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from runner.hub.client import HubClient, HubFailure
from tests.support.attackers import Person, findable
from tests.support.hub import Hub

#: Seconds in which a running server learns that a session ended.
HEARD = 25


def _copied(client: HubClient) -> HubClient:
    """A second browser with a copy of all cookies."""
    bundle = client.http.verify
    copy = HubClient(client.hostname, client.username, Path(bundle) if isinstance(bundle, str) else None)
    copy.http.cookies.update(client.http.cookies)
    return copy


def _opens(client: HubClient) -> list[str]:
    """What a browser's cookies still open: hub, API, server."""
    paths = ("/hub/home", f"/hub/api/users/{client.username}", f"/user/{client.username}/api/contents")
    return [path for path in paths if client.get(path, allow_redirects=False).status_code == 200]


def _until(what: Callable[[], object], seconds: float = HEARD) -> object:
    """The last result; empty if everything was closed in time."""
    deadline = time.monotonic() + seconds
    while (seen := what()) and time.monotonic() < deadline:
        time.sleep(1)
    return seen


def _token_works(person: Person, token: str) -> list[str]:
    with_token = {"Authorization": f"token {token}"}
    paths = (f"/hub/api/users/{person.account}", f"/user/{person.account}/api/contents")
    bundle = person.hub.document["ca_bundle"]
    stranger = HubClient(person.hub.document["hostname"], person.account, Path(bundle))
    return [
        path
        for path in paths
        if requests.get(
            f"{stranger.origin(path)}{path}", headers=with_token, verify=bundle, timeout=20, allow_redirects=False
        ).status_code == 200
    ]  # fmt: skip


def test_leaving_cookies_are_copied_before_a_sign_out(mallory: Person) -> None:
    """Tries: to continue with copies of all cookies after their owner has signed out (D1).

    Stopped by: signing out changes the cookie's id and ends the tokens (class_signin/leaving.py); servers ask every 10
    s.
    """
    mallory.serve()
    client, other = mallory.new_client(), mallory.new_client()
    for one in (client, other):
        one.get(f"/user/{mallory.account}/lab")
    copy, elsewhere = _copied(client), _copied(other)
    assert len(_opens(copy)) == len(_opens(elsewhere)) == 3, "else the attack shows nothing"
    line = copy.websocket(f"/user/{mallory.account}/api/events/subscribe")
    client.sign_out()
    assert "/hub/home" not in _opens(copy)
    assert f"/hub/api/users/{mallory.account}" not in _opens(copy)
    assert _until(lambda: _opens(copy)) == []
    assert _until(lambda: _opens(elsewhere)) == [], "a sign-out is one in all browsers"
    line.settimeout(HEARD)
    with contextlib.suppress(Exception):
        while line.connected and line.recv():
            pass
    assert not line.connected
    mallory.forget()
    assert mallory.serve().get("/hub/home").status_code == 200


@pytest.fixture
def leaver(hub: Hub) -> Iterator[Person]:
    """A student who will be removed from the class; they are in no file, and root does what the state would do."""
    name = "attack-leaver"
    findable(hub, name, [name])
    hub.run(
        f"useradd --create-home --user-group --shell /bin/bash --groups class,students {name} && "
        f"chmod 0700 /home/{name} && echo '{name}:long-enough-word-3' | chpasswd"
    )
    person = Person(hub, name, "long-enough-word-3")
    try:
        yield person
    finally:
        findable(hub, name, [])
        hub.run(f"{LEAVE} {name} >/dev/null 2>&1; userdel --remove --force {name} >/dev/null 2>&1 || true")


LEAVE = (
    "/usr/local/lib/coursehub/coursehub-leave --left /var/lib/coursehub/left.json --unit jupyter-attack-leaver.service"
)


def _token(person: Person) -> str:
    return person.python("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])").strip()


def _leaves(hub: Hub, person: Person, *, down: bool = False) -> None:
    """Does what the state does, in its order; with ``down`` while the hub does not run."""
    hub.run(
        f"{'systemctl stop jupyterhub' if down else 'true'} && {LEAVE} {person.account} && "
        f"usermod --lock --expiredate 1 {person.account}"
    )


def _comes_back(hub: Hub, person: Person) -> None:
    hub.run(
        f"{LEAVE} {person.account} && usermod --expiredate '' {person.account} && usermod --unlock {person.account} && "
        "systemctl start jupyterhub"
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(HubFailure):
            if person.new_client().get("/hub/home").status_code == 200:
                return
        time.sleep(1)
    pytest.fail("nobody can sign in who came back")


def _processes(hub: Hub, account: str) -> str:
    return hub.run(f"ps -o pid=,stat=,args= -u {account} | grep -v ' Z' || true").strip()


@pytest.mark.parametrize("down", [False, True], ids=["hub is up", "hub is down"])
@pytest.mark.disturbs
def test_leaving_and_coming_back_with_old_cookies_and_tokens(hub: Hub, leaver: Person, down: bool) -> None:
    """Tries: to keep cookies and a token while being removed from the class, and to use them after coming back (D2).

    Stopped by: the account's new mark (coursehub-leave); the hub accepts nothing older.
    """
    client = leaver.serve()
    client.get(f"/user/{leaver.account}/lab")
    token, copy = _token(leaver), _copied(client)
    assert len(_opens(copy)) == 3
    assert _token_works(leaver, token)
    _leaves(hub, leaver, down=down)
    assert _processes(hub, leaver.account) == ""
    if not down:
        # The hub asks about a person once a second.
        assert _until(lambda: _opens(copy), 5) == []
        assert _token_works(leaver, token) == []
        with pytest.raises(HubFailure):
            leaver.new_client()
    _comes_back(hub, leaver)
    assert _opens(copy) == []
    assert _token_works(leaver, token) == []
    leaver.forget()
    leaver.serve()
    assert _opens(copy) == []
    assert _token_works(leaver, token) == []
    leaver.stop()


def test_leaving_processes_do_not_end_when_asked(hub: Hub, leaver: Person) -> None:
    """Tries: to survive being removed, with processes that ignore SIGTERM, are stopped, or left their session (S6).

    Stopped by: coursehub-leave kills by uid and waits for none of them.
    """
    leaver.shell(
        "(trap '' TERM HUP INT; setsid sh -c \"trap '' TERM HUP; while :; do sleep 1; done\" >/dev/null 2>&1 &) ; "
        "(setsid sh -c 'kill -STOP $$; sleep 600' >/dev/null 2>&1 &) ; sleep 0.3"
    )
    assert _processes(hub, leaver.account)
    began = time.monotonic()
    _leaves(hub, leaver)
    assert time.monotonic() - began < 20
    assert _processes(hub, leaver.account) == ""


@pytest.mark.parametrize(
    "way",
    [
        "echo '* * * * * id' | crontab -",
        "echo id | at now + 1 hour",
        "loginctl enable-linger",
        "systemd-run --user --on-active=1h id",
        "systemctl --user start dbus",
        "machinectl shell .host /bin/id",
        "run0 id",
        "pkexec id",
    ],
)
def test_leaving_something_that_starts_later(hub: Hub, mallory: Person, way: str) -> None:
    """Tries: to leave a job, a lingering session or a service that starts after its owner has left.

    Stopped by: cron.allow, at.allow, a polkit rule for the class, no new privileges, no logind session.
    """
    program = way.rpartition("|")[2].split(maxsplit=1)[0]
    if not hub.run(f"command -v {program} || true").strip():
        pytest.skip(f"{program} is not on the server")
    assert mallory.shell(way).code != 0
    left = hub.run(
        "ls /var/spool/cron/crontabs /var/spool/cron/atjobs /var/lib/systemd/linger 2>/dev/null | grep -v : || true"
    )
    assert mallory.account not in left


@pytest.mark.parametrize("who", ["mallory", "assistant", "professor"])
def test_leaving_a_key_for_ssh(hub: Hub, request: pytest.FixtureRequest, who: str) -> None:
    """Tries: to put a key into one's own ~/.ssh and return with ssh, outside of all limits (S5).

    Stopped by: sshd refuses the class's groups, and reads no keys in homes.
    """
    person: Person = request.getfixturevalue(who)
    asked = f"user={person.account},host=x,addr=192.0.2.1"
    allowed = hub.run(
        f"sshd -T -C {asked} | grep -iE '^(denygroups|allowgroups|authorizedkeysfile|permitrootlogin)' || true"
    )
    groups = set(hub.run(f"id -nG {person.account}").split())
    denied = {line.split()[1] for line in allowed.splitlines() if line.startswith("denygroups")}
    assert groups & denied, allowed
    key = person.shell(
        "mkdir -p ~/.ssh && rm -f ~/.ssh/k ~/.ssh/k.pub && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/k && "
        "cp ~/.ssh/k.pub ~/.ssh/authorized_keys && chmod 700 ~/.ssh && chmod 600 ~/.ssh/authorized_keys"
    )
    assert key.code == 0
    came = person.shell(
        "ssh -n -i ~/.ssh/k -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=5 "
        f"{person.account}@127.0.0.1 id"
    )
    person.shell("rm -rf ~/.ssh")
    assert came.code == 255, came
