"""Faults of one server during its highstates, each on top of what the previous one left.

The machine has its own cloud and is made once. It meets a broken mirror and a failing name server while it is empty,
dies several times while it is configured, and as a class's hub it loses the Python index, its connection, its power
and its disk space.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from runner import local
from runner.hub.client import HubClient
from tests.support.machine import Machine, fresh_server, one_line
from tests.support.mirror import Fault, broken_mirror
from tests.support.sandbox import Sandbox

pytestmark = [
    pytest.mark.machine,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("held_in_background"),
]

#: Determines when the machine dies; printed so that a run can be repeated.
SEED = int(os.environ.get("COURSEHUB_SEED", str(random.SystemRandom().randrange(10**6))))
#: More of them find more; COURSEHUB_KILLS=10 takes four minutes longer.
KILLS = int(os.environ.get("COURSEHUB_KILLS", "4"))
STUDENT, OTHER = "abello", "bcarter"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server after the first contact, never configured."""
    sandbox = Sandbox.make(tmp_path_factory.mktemp("midway"))
    try:
        # Two tries instead of five at growing intervals; otherwise the tests would only wait.
        with (sandbox.root / "pillar" / "site.sls").open("a", encoding="utf-8") as site:
            site.write("base:\n  apt:\n    retries: 2\n")
        sandbox.lighten("demo")
        yield fresh_server(sandbox, "demo")
    finally:
        done = sandbox.run("local", "stop")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def converged(server: Machine) -> Machine:
    """The same server when a class could use it."""
    if not (server.root / "opt/course/env").is_symlink():
        server.sandbox.json("up", "demo")
    return server


def apply(server: Machine) -> subprocess.CompletedProcess[str]:
    return server.sandbox.run("apply", "demo")


def finished(verb: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """A verb that was started, after it has ended."""
    stdout, stderr = verb.communicate(timeout=300)
    return subprocess.CompletedProcess(verb.args, verb.returncode, stdout, stderr)


def mended(server: Machine) -> list[str]:
    """One apply without a fault; the names of the states that it changed."""
    outcome = server.sandbox.json("apply", "demo")["courses"]["demo"]
    assert outcome["failed"] == 0, outcome
    return [change["name"] for change in outcome["changes"]]


def as_it_was(server: Machine) -> None:
    """Check that nothing is left to do, nothing is half-installed, and a student can work."""
    assert mended(server) == []
    assert server.run("dpkg --audit") == ""
    looked = server.sandbox.json("check", "demo")
    assert looked["ok"], looked


def change_environment(server: Machine) -> None:
    """Change the lock by an empty line, so that the next apply makes the course's environment again, which takes
    seconds.
    """
    lock = server.sandbox.root / "pillar" / "files" / "locks" / "demo.txt"
    with lock.open("a", encoding="utf-8") as text:
        text.write("\n")


@pytest.mark.parametrize("fault", ["gone", "truncated"])
def test_fault_16_broken_mirror_leaves_nothing_half_installed(server: Machine, fault: Fault) -> None:
    sources = "/etc/apt/sources.list"
    gateway = server.run("ip route show default").split()[2]
    with broken_mirror(gateway, fault) as mirror:
        server.run(f"cp {sources} /root/sources && sed -i 's,http://,http://{mirror.address}/,' {sources}")
        try:
            line = one_line(apply(server), "the Debian mirror", "(404)" if fault == "gone" else "Remote end closed")
        finally:
            server.run(f"mv /root/sources {sources}")
    print(line)
    assert mirror.asked, "apt never came to the mirror"
    if fault == "truncated":
        assert max(mirror.asked.values()) >= 3, mirror.asked
    assert server.run("dpkg --audit") == ""


def test_a_dead_name_server_is_a_line(server: Machine) -> None:
    server.run("cp /etc/resolv.conf /root/resolv && echo nameserver 127.0.0.9 > /etc/resolv.conf")
    try:
        line = one_line(apply(server), "name server")
    finally:
        server.run("cat /root/resolv > /etc/resolv.conf")
    print(line)


def test_fault_13_machine_dies_at_random_points(server: Machine) -> None:
    """The machine dies during each apply, later and later in the highstate and at any moment of a state.

    Later applies must complete what each death left unfinished; only the last of them ends. A death loses what
    processes had in memory, but not what the kernel had not written yet, because the host's kernel survives.
    """
    chance = random.Random(SEED)
    print(f"COURSEHUB_SEED={SEED}")
    assert not (server.root / "opt/course/env").is_symlink(), "this must be the server's first highstate"
    points = sorted(chance.uniform(0, 0.9) for _ in range(KILLS))
    hits: list[str] = []
    for point in points:
        late = chance.uniform(0, 4)
        verb = server.sandbox.popen("apply", "demo")
        server.wait_in_highstate(verb, bool)
        total = server.states_shipped()
        server.wait_in_highstate(verb, lambda states, first=point * total: len(states) >= first)
        deadline = time.monotonic() + late
        while time.monotonic() < deadline and len(server.states_started()) < total - 5:
            time.sleep(0.02)
        at, runs = server.states_started(), server.salt_runs()
        server.kill()
        done = finished(verb)
        # Both: Salt was running when the machine died, and sent no report.
        assert runs, f"COURSEHUB_SEED={SEED}: no highstate ran at {at[-1]}"
        print(f"state {len(at)} of {total}, {at[-1]}: {one_line(done)}")
        hits.append(at[-1])
    done = server.sandbox.run("up", "demo", "--json")
    # Its exit code includes the check from outside.
    assert done.returncode == 0, f"COURSEHUB_SEED={SEED}: {hits}: {done.stderr}\n{done.stdout}"
    assert mended(server) == [], f"COURSEHUB_SEED={SEED}: {hits}"
    assert server.run("dpkg --audit") == ""


@contextlib.contextmanager
def student(server: Machine, account: str) -> Iterator[HubClient]:
    """A student at work on the hub."""
    session = {"hostname": server.sandbox.domain("demo"), "ca_bundle": bundle(server), "course": "demo"}
    with server.sandbox.client(session, account) as client:
        client.start_server()
        try:
            yield client
        finally:
            client.stop_server()


def bundle(server: Machine) -> str:
    return str(local.ensure_running(server.sandbox.project.state, print).ca_bundle)


def test_fault_17_index_dies_in_an_install_old_environment_stays(converged: Machine) -> None:
    server = converged
    server.sandbox.edit("demo", "pint]", "pint, humanize]")
    server.sandbox.json("lock", "demo")
    with student(server, STUDENT) as early, early.kernel() as kernel:
        kernel.run("kept = 41")
        verb = server.sandbox.popen("apply", "demo")
        cache = server.root / "var/cache/coursehub"
        server.wait_in_highstate(verb, lambda _: downloaded(cache) > 20)
        with server.index_down():
            print(one_line(finished(verb), "index", "/opt/course/envs"))
            assert kernel.run("print(kept + 1)") == "42"
            with student(server, OTHER) as late, late.kernel() as fresh:
                assert fresh.run("import numpy; print(numpy.arange(5).sum() * 2)") == "20"
                assert "ModuleNotFoundError" in fresh.run(
                    "try:\n    import humanize\nexcept ImportError as e:\n    print(type(e).__name__)"
                )
            # Also from the start of an apply.
            print(one_line(apply(server), "index", "/opt/course/envs"))
        changed = mended(server)
        assert "/opt/course/envs" in changed
        assert kernel.run("print(kept + 2)") == "43"
        with student(server, OTHER) as late, late.kernel() as fresh:
            assert fresh.run("import humanize; print(humanize.intcomma(1000))") == "1,000"


def downloaded(directory: object) -> float:
    """Megabytes below a directory of the machine."""
    done = subprocess.run(["du", "-sm", str(directory)], capture_output=True, text=True, check=False)
    return float(done.stdout.split()[0]) if done.stdout else 0.0


def test_fault_12_a_connection_that_is_cut_in_the_highstate(converged: Machine) -> None:
    def cut(server: Machine) -> contextlib.AbstractContextManager[object]:
        return server.packets("input tcp dport 22 reject with tcp reset", "output tcp sport 22 reject with tcp reset")

    interrupted(converged, cut)


def test_a_reboot_in_the_middle_of_the_highstate(converged: Machine) -> None:
    def reboot(server: Machine) -> contextlib.AbstractContextManager[object]:
        server.droplet().reboot()
        return contextlib.nullcontext()

    interrupted(converged, reboot)


def test_a_power_off_in_the_middle_of_the_highstate(converged: Machine) -> None:
    def off(server: Machine) -> contextlib.AbstractContextManager[object]:
        server.droplet().power_off()
        return contextlib.nullcontext()

    interrupted(converged, off)
    as_it_was(converged)


def interrupted(server: Machine, fault: Callable[[Machine], contextlib.AbstractContextManager[object]]) -> None:
    """A fault during an apply that makes the environment; the next apply completes it."""
    change_environment(server)
    verb = server.sandbox.popen("apply", "demo")
    server.wait_in_highstate(verb, lambda _: server.building() is not None)
    assert server.salt_runs()
    with fault(server):
        done = finished(verb)
    print(one_line(done, "broke in the middle"))
    mended(server)
    assert server.building() is None


def test_a_full_tmp_is_no_hindrance(converged: Machine) -> None:
    converged.run("mount -t tmpfs -o size=32k tmpfs /tmp; cat /dev/zero > /tmp/full 2>/dev/null || true")
    change_environment(converged)
    try:
        assert "/opt/course/envs" in mended(converged)
    finally:
        converged.run("umount -l /tmp")


@pytest.mark.parametrize("megabytes", [100, 0])
def test_a_full_disk_is_a_line_and_a_kernel_goes_on(converged: Machine, megabytes: int) -> None:
    server = converged
    change_environment(server)
    with student(server, STUDENT) as client, client.kernel() as kernel:
        server.run(
            f"""
            fallocate -l "$(( $(df --output=avail -B1M / | tail -n 1) - {megabytes or 20} ))M" /var/filler
            [ {megabytes} -gt 0 ] || cat /dev/zero > /var/filler.rest 2>/dev/null || true
            """
        )
        try:
            print(one_line(apply(server), "the server's disk is full"))
            assert kernel.run("print(5 * 4)") == "20"
        finally:
            server.run("rm -f /var/filler /var/filler.rest")
    assert "/opt/course/envs" in mended(server)
    if not megabytes:
        as_it_was(server)
