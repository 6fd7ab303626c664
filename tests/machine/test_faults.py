"""What goes wrong on the way: killed runners, dead machines, cut connections, held locks, two at once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from runner.access import Access
from runner.errors import CoursehubError
from runner.verbs.session import connect
from runner.verbs.up import make_server
from tests.support.sandbox import Sandbox
from tests.support.traces import traces_of

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1200)]

#: Seconds that another program holds dpkg's lock (fault 15).
LOCKED = 180


def course(sandbox: Sandbox, name: str) -> str:
    """One more course like the demo, on a machine of its own."""
    if not sandbox.project.course_file(name).exists():
        sandbox.copy_course("demo", name, **{sandbox.domain("demo"): f"{name}-{os.getpid()}.coursehub.test"})
    return name


def fresh_server(sandbox: Sandbox, name: str) -> str:
    """The course's server as ``up`` has it before its first highstate; its address."""
    course(sandbox, name)
    session = connect(sandbox.project, name, print)
    ip = str(make_server(session, lambda _: None).ip)
    session.write_pillar(ip)
    return ip


def in_highstate(sandbox: Sandbox, process: subprocess.Popen[str], name: str, states: int) -> None:
    """Wait until ``states`` states have started on the server of a running verb."""
    access = Access(sandbox.project, name)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, f"it ended before the highstate: {process.communicate()}"
        server = access.server()
        if server is not None and access.known_hosts.exists():
            with contextlib.suppress(CoursehubError):
                count = access.run(
                    str(server.ip),
                    "grep -c '^Running state' /var/lib/coursehub-salt/running_data/highstate.log || true",
                    seconds=20,
                )
                if int(count.strip() or 0) >= states:
                    return
        time.sleep(0.2)
    pytest.fail(f"no {states} states within 300 s")


def kill_with_children(process: subprocess.Popen[str]) -> None:
    """kill -9 the runner and whatever it started: a laptop whose lid was shut."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.communicate()


@pytest.fixture(scope="module", autouse=True)
def dpkg_is_locked(sandbox: Sandbox) -> Iterator[subprocess.Popen[str]]:
    """Fault 15 takes three minutes of waiting: it goes on beside the other tests of this module."""
    ip = fresh_server(sandbox, "locked")
    Access(sandbox.project, "locked").run(
        ip,
        f"""
        systemd-run --quiet --unit=somebody-elses-apt python3 -c '
import fcntl, time
lock = open("/var/lib/dpkg/lock-frontend", "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
time.sleep({LOCKED})'
    """,
    )
    process = sandbox.popen("up", "locked", "--json")
    yield process
    if process.poll() is None:
        kill_with_children(process)


def test_an_interrupted_up_goes_on_and_a_second_runner_hears_of_the_first(sandbox: Sandbox) -> None:
    name = course(sandbox, "cut")
    first = sandbox.popen("up", name)
    in_highstate(sandbox, first, name, 12)

    second = sandbox.run("apply", name)
    assert second.returncode == 1
    assert f"runs 'up' on it (process {first.pid}" in second.stderr
    assert second.stderr.count("\n") == 1, second.stderr

    # Fault 12 with it: the connection breaks in the middle of the highstate, and the server finishes alone.
    kill_with_children(first)
    again = sandbox.json("up", name)
    assert all(check["ok"] for check in again["checks"]), again["checks"]
    assert sandbox.json("apply", name)["courses"][name]["changed"] == 0
    sandbox.json("down", name)


def test_fault_15_a_held_dpkg_lock_is_waited_for(sandbox: Sandbox, dpkg_is_locked: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    stdout, stderr = dpkg_is_locked.communicate(timeout=600)
    assert dpkg_is_locked.returncode == 0, stderr
    assert '"failed": 0' in stdout
    assert time.monotonic() - began < 600
    # It really was in the way: the unit that held the lock ran its three minutes to the end.
    held = Access(sandbox.project, "locked").run(
        str(Access(sandbox.project, "locked").server().ip),  # type: ignore[union-attr]
        "journalctl -u somebody-elses-apt -o short-unix --no-pager | tail -n 1",
    )
    assert "Deactivated successfully" in held
    sandbox.json("down", "locked")


@pytest.mark.parametrize(
    ("old", "new", "says", "code"),
    [
        ("coursehub.test ", "example.edu ", "the local cloud has no DNS zone for", 2),
        ("size: s-4vcpu-8gb", "size: s-4vcpu-9gb", "did you mean s-4vcpu-8gb?", 2),
        ("  upload_limit", "  upload_limt", "did you mean upload_limit?", 2),
        ("packages: [numpy,", "packages: [numpy, astropy,", "coursehub lock", 2),
    ],
    ids=["domain", "size", "key", "lock"],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(
    sandbox: Sandbox, old: str, new: str, says: str, code: int
) -> None:
    name = course(sandbox, "wrong")
    path = sandbox.project.course_file(name)
    good = path.read_text(encoding="utf-8")
    assert old in good
    path.write_text(good.replace(old, new, 1), encoding="utf-8")
    try:
        done = sandbox.run("up", name)
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == code, done.stderr
        assert says in last
        assert f"pillar/courses/{name}.sls:" in last
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        assert sandbox.json("status", "demo")["courses"][0]["state"] in ("active", "none")
        path.write_text(good, encoding="utf-8")
        assert sandbox.json("status", name)["courses"][0]["state"] == "none"
    finally:
        path.unlink()


def test_a_template_that_does_not_render_is_one_line(sandbox: Sandbox) -> None:
    name = course(sandbox, "locked")
    if Access(sandbox.project, name).server() is None:
        fresh_server(sandbox, name)
    broken = sandbox.root / "formulas" / "accounts" / "init.sls"
    good = broken.read_text(encoding="utf-8")
    broken.write_text(good + "\n{{ nothing.at.all }}\n", encoding="utf-8")
    try:
        done = sandbox.run("apply", name)
        assert done.returncode == 1
        assert "do not render" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        broken.write_text(good, encoding="utf-8")
        sandbox.json("down", name)


def test_an_ssh_that_does_not_answer_ends_in_a_line(sandbox: Sandbox) -> None:
    """A server whose sshd is gone: bounded, named, with what to do."""
    ip = fresh_server(sandbox, "silent")
    access = Access(sandbox.project, "silent")
    access.run(ip, "systemctl mask --now ssh.service ssh.socket >/dev/null 2>&1 &")
    with pytest.raises(CoursehubError, match=r"does not answer after 3 s.*coursehub down silent"):
        while True:
            access.wait_for_ssh(ip, lambda _: None, 3)
    sandbox.json("down", "silent")


def test_down_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No process, namespace, link, nft table, cgroup, mount or hosts entry of a cloud whose last server went."""
    alone = Sandbox.make(tmp_path_factory.mktemp("alone"))
    state = alone.project.state
    fresh_server(alone, "demo")
    there = traces_of(state)
    assert {"namespaces", "links", "tables", "mounts", "groups", "hosts", "processes", "disks"} <= set(there)
    alone.json("down", "demo")
    assert traces_of(state) == {}
    assert alone.json("down", "demo")["removed"] == []
    assert alone.run("local", "stop").returncode == 0
    assert traces_of(state) == {}
