"""Measures the main operations side by side in one run and prints one JSON document.

    .venv/bin/python -m benchmarks.speed [--pairs N] [--image SLUG]

Each pair uses two new machines of a separate local cloud: one is set up by baseline.sh, the other by ``apply``. Each is
timed from the call until a student's kernel answers through nginx. The pairs alternate their order, because the second
machine finds a warmer host. Salt's package for salt-ssh is built before: once per working copy, like .venv. Then an
``apply`` without a change is measured in turn with salt-ssh's own ``test.ping``, because computers differ in speed.
Compare only figures from an idle computer.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.hub.client import HubClient
from runner.people.passwords import Passwords
from runner.saltssh import argv
from runner.saltssh.pillar import host_ca_certificates
from runner.session import CHECK_ACCOUNT, Session, connect
from runner.verbs.up import make_server
from tests.support.sandbox import REPO, Sandbox

#: The allowed time of the first `apply` as a multiple of the shell script's, and seconds for an apply without a change.
GOALS = {"ratio": 1.5, "unchanged": 5.0}
#: The account that baseline.sh makes.
BASELINE_USER, BASELINE_PASSWORD = "student01", "baseline"


def say(text: str) -> None:
    print(text, file=sys.stderr)


def kernel_answers(session: Session, username: str, password: str, ca_bundle: Path | None) -> None:
    """Sign in through nginx, start a server and run code in a kernel."""
    with HubClient(session.course.domain, username, ca_bundle) as client:
        client.sign_in(password)
        client.start_server()
        with client.kernel() as kernel:
            answer = kernel.run("import numpy; print(numpy.arange(5).sum() * 2)")
    if answer != "20":
        raise SystemExit(f"the kernel computed {answer!r}")


def fresh(sandbox: Sandbox, course_id: str) -> tuple[Session, str]:
    """A booted machine after the first SSH contact; nothing is configured yet."""
    sandbox.copy_course("demo", course_id, **{sandbox.domain("demo"): f"{course_id}-{sandbox.domain('demo')}"})
    session = connect(sandbox.project, course_id, say)
    server = make_server(session, say)
    session.write_pillar(str(server.ip))
    return session, str(server.ip)


def prepare_baseline(session: Session, ip: str) -> None:
    """Bring to a fresh machine what baseline.sh needs."""
    ssh = session.access.argv(ip)
    tree = subprocess.run(
        ["tar", "c", "-C", str(REPO), "benchmarks", "formulas", "pillar/files"], capture_output=True, check=True
    ).stdout
    subprocess.run([*ssh, "mkdir -p /root/baseline && tar x -C /root/baseline"], input=tree, check=True)
    # `apply` installs these too. Behind a proxy that inspects TLS, no index can be reached without them.
    for name, certificate in host_ca_certificates().items():
        subprocess.run(
            [*ssh, f"cat > /usr/local/share/ca-certificates/{shlex.quote(name)}.crt"],
            input=certificate.encode(),
            check=True,
        )
    subprocess.run([*ssh, "update-ca-certificates"], capture_output=True, check=True)


def run_baseline(session: Session, ip: str, certificate: Path) -> dict[str, float]:
    """Run baseline.sh, and fetch the hub's certificate. Returns the seconds of its parts."""
    script = f"NAME={shlex.quote(session.course.domain)} sh /root/baseline/benchmarks/baseline.sh"
    done = subprocess.run([*session.access.argv(ip), script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the baseline failed: {done.stderr.strip()[-500:]}")
    certificate.write_text(session.access.run(ip, "cat /etc/ssl/baseline.pem"), encoding="ascii")
    parts = [line.split() for line in done.stdout.splitlines()]
    return {name: int(number) / 1000 for name, number, _ in parts}


def time_shell(sandbox: Sandbox, course_id: str) -> dict[str, Any]:
    """Seconds from the start of baseline.sh to a kernel's answer, and the seconds of its parts."""
    session, ip = fresh(sandbox, course_id)
    prepare_baseline(session, ip)
    certificate = Path(sandbox.root, f"{course_id}.pem")
    began = time.monotonic()
    parts = run_baseline(session, ip, certificate)
    kernel_answers(session, BASELINE_USER, BASELINE_PASSWORD, certificate)
    return {"seconds": round(time.monotonic() - began, 1), "parts": parts}


def time_apply(sandbox: Sandbox, course_id: str) -> dict[str, Any]:
    """Seconds of ``apply`` to a kernel's answer, and of a second ``apply``, which must change nothing."""
    session, _ = fresh(sandbox, course_id)
    subprocess.run(argv("nobody", "test.ping"), cwd=sandbox.root, capture_output=True, check=False)
    began = time.monotonic()
    done = sandbox.json("apply", course_id)
    highstate = time.monotonic() - began
    password = Passwords(session.project, course_id).read()[CHECK_ACCOUNT].clear
    kernel_answers(session, CHECK_ACCOUNT, password, session.ca_bundle)
    seconds = time.monotonic() - began
    unchanged, ping = [], []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run(argv(course_id, "test.ping"), cwd=sandbox.root, capture_output=True, check=True)
        ping.append(round(time.monotonic() - began, 1))
        began = time.monotonic()
        again = sandbox.json("apply", course_id)["courses"][course_id]
        unchanged.append(round(time.monotonic() - began, 1))
        if again["changed"]:
            raise SystemExit(f"apply changed {again['changed']} states again")
    return {
        "seconds": round(seconds, 1),
        "apply": round(highstate, 1),
        "states": done["courses"][course_id]["total"],
        "unchanged": unchanged,
        "ping": ping,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1, help="how often (default 1)")
    parser.add_argument("--image", default="debian-13-x64", help="the machines' image")
    options = parser.parse_args()
    timers: dict[str, Callable[[Sandbox, str], dict[str, Any]]] = {"shell": time_shell, "salt": time_apply}
    figures: dict[str, list[dict[str, Any]]] = {name: [] for name in timers}
    with tempfile.TemporaryDirectory(prefix="coursehub-speed-") as directory:
        sandbox = Sandbox.make(Path(directory))
        sandbox.edit("demo", "debian-13-x64", options.image)
        try:
            for pair in range(options.pairs):
                order = list(timers) if pair % 2 == 0 else list(reversed(timers))
                for name in order:
                    course_id = f"{name}{pair}"
                    say(f"{name} on a fresh {options.image}")
                    figures[name].append(timers[name](sandbox, course_id))
                    sandbox.json("down", course_id, "--yes")
        finally:
            sandbox.run("local", "stop")
    medians = {name: statistics.median(figure["seconds"] for figure in figures[name]) for name in timers}
    unchanged, ping = (
        statistics.median(seconds for figure in figures["salt"] for seconds in figure[key])
        for key in ("unchanged", "ping")
    )
    report = {
        "to a kernel's answer": {**medians, "ratio": round(medians["salt"] / medians["shell"], 2)},
        "apply without a change": {
            "seconds": unchanged,
            "salt-ssh test.ping": ping,
            "ratio": round(unchanged / ping, 2),
        },
        "goals": GOALS,
        "runs": figures,
    }
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
