"""No secret in logs, process lists or job caches, and none that a student can read, on a real server."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runner.people.passwords import Passwords
from runner.servers.access import THIN_DIR
from tests.machine.test_hub import STUDENT
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(600)]

#: A secret that no formula uses: it never leaves the teacher's computer.
UNUSED = "an-unused-value-for-4711"
FORGETFUL = "vhansen"
#: Seconds for which a process is read continuously, and the interval at which all others are read again: reading every
#: process continuously takes a full core.
NEW, AGAIN = 10.0, 0.5


class CommandLines:
    """All command lines on this computer during the block, including its machines', as any user can read them."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> CommandLines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        met: dict[Path, float] = {}
        all_looked_at = 0.0
        while not self._end.wait(0.01):
            now = time.monotonic()
            met = {path: met.get(path, now) for path in Path("/proc").glob("[0-9]*")}
            everybody = now - all_looked_at > AGAIN
            all_looked_at = now if everybody else all_looked_at
            for path, since in met.items():
                if everybody or now - since < NEW:
                    with contextlib.suppress(OSError):
                        self.seen.add((path / "cmdline").read_bytes())


def body(pem: str) -> str:
    """A line of a key that no other key has."""
    lines = pem.strip().splitlines()
    return lines[len(lines) // 2]


def secrets_of(hub: Hub) -> dict[str, str]:
    """Every secret of the course, by description."""
    project = hub.sandbox.project
    found = {"unused": UNUSED}
    for account, password in Passwords(project, "demo").read().items():
        found[f"password of {account}"] = password.clear
        found[f"hash of {account}"] = password.hash
    found["ssh key"] = body((project.state / "servers" / "demo" / "client_key").read_text())
    for name, script in {
        "host key": "cat /etc/ssh/ssh_host_ed25519_key",
        "certificate's key": "cat /etc/letsencrypt/live/*/privkey.pem",
    }.items():
        found[name] = body(hub.run(script))
    for name, file in {"proxy token": "proxy.env", "sync token": "sync.env", "cookie secret": "cookie_secret"}.items():
        found[name] = hub.run(f"cat /srv/jupyterhub/{file}").strip().rpartition("=")[2]
    assert all(len(value) >= 14 for value in found.values())
    return found


def on_server(hub: Hub, secrets: dict[str, str], command: str) -> str:
    """What a command finds on the server; ``$patterns`` is root's file of all secrets, deleted afterwards."""
    lines = "\n".join(secrets.values())
    return hub.run(
        f"""
        umask 077
        patterns=$(mktemp -p /run)
        cat > "$patterns" <<'END-OF-SECRETS'
{lines}
END-OF-SECRETS
        {command}
        rm -f "$patterns"
        """
    )


def test_no_secret_is_where_somebody_else_could_read_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSEHUB_KEYS", str(tmp_path / "keys"))
    project = hub.sandbox.project
    before = secrets_of(hub)
    with CommandLines() as lines:
        stored = subprocess.run(
            [sys.executable, "-m", "runner", "secrets", "set", "demo", "some-token"],
            env=hub.sandbox.env, input=UNUSED, capture_output=True, text=True, check=True,
        )  # fmt: skip
        try:
            reset = hub.sandbox.run("passwords", "demo", "--reset", FORGETFUL)
            applied = hub.sandbox.run("apply", "demo", "--json")
        finally:
            shutil.rmtree(project.secrets)
    assert (reset.returncode, applied.returncode) == (0, 0), reset.stderr + applied.stderr
    secrets = {**before, **{f"{name}, before": value for name, value in before.items()}, **secrets_of(hub)}
    said = stored.stdout + stored.stderr + reset.stdout + reset.stderr + applied.stdout + applied.stderr

    # Salt's own process on the machine was seen, so its children could be seen too.
    assert any(f"{THIN_DIR}/salt-call".encode() in line for line in lines.seen)
    for name, value in secrets.items():
        assert value not in said, name
        assert [line for line in lines.seen if value.encode() in line] == [], name

    # Root searches logs and Salt's files.
    logs = "grep -rlaF -f $patterns /var/log /var/cache/salt /tmp /var/tmp || true; journalctl -o cat | grep -cF -f"
    assert on_server(hub, secrets, f"{logs} $patterns || true").split() == ["0"]
    assert hub.run(f"find {THIN_DIR} -maxdepth 0 -perm /077; find {THIN_DIR} -name highstate.log") == ""
    sent = f"grep -rlaF -f $patterns /srv /etc /root /var/lib; tar -xzOf {THIN_DIR}/salt_state.tgz | grep -caF -f"
    assert on_server(hub, {"unused": UNUSED}, f"{sent} $patterns || true").split() == ["0"]

    # A student searches everywhere. The patterns are on standard input, not on a command line.
    files = "grep -rlsaF --line-buffered -f - --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev /"
    processes = "grep -lsaF --line-buffered -f - /proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    for look in (files, processes):
        as_student = f"runuser -u {STUDENT} -- sh -c {shlex.quote(look)} < $patterns || true"
        assert on_server(hub, secrets, as_student) == "", look
        # The search does find what a student may read; one proof is enough.
        public = {"a path": "/usr/bin" if look == processes else hub.sandbox.domain("demo")}
        assert on_server(hub, public, f"({as_student}) | head -n 1") != "", look

    # On this computer: Salt's caches, and everything in the working copy that git could add.
    values = [value.encode() for value in secrets.values()]
    readable = [path for path in (project.state / "salt").rglob("*") if path.is_file()]
    readable += [path for path in hub.sandbox.root.rglob("*") if path.is_file() and project.state not in path.parents]
    assert [path for path in readable if any(value in path.read_bytes() for value in values)] == []
    assert project.state.stat().st_mode & 0o077 == 0
