"""Starts a local cloud, or finds it running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from runner.errors import CoursehubError
from runner.local import images
from runner.local.host import Report, install_packages, locked, why_unavailable
from runner.local.identity import Identity
from runner.local.source import source_key
from runner.local.state import LOG, LocalCloud, cloud_of, end, facts_of, server_of

# A second on most hosts; an emulated processor took over half a minute.
START_SECONDS = 120.0


def ensure_running(state: Path, report: Report) -> LocalCloud:
    """Start the local cloud of a state directory, or find it running.

    Installs missing Debian packages (``report`` gets their names first). A server that died, or runs other code, is
    restarted; machines that should run are booted. Raises CoursehubError if no local cloud can run here, apt fails, or
    the server does not start.
    """
    reason = why_unavailable()
    if reason:
        raise CoursehubError(reason)
    identity = Identity.of(state)
    identity.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(identity.lock):
        identity.directory.mkdir(exist_ok=True, mode=0o700)
        install_packages(report)
        facts = facts_of(identity)
        server = server_of(facts)
        if server is None or facts.get("source") != source_key():
            if server is not None:
                end(server)
            report("starting the local cloud")
            facts = _start(identity)
    return cloud_of(identity, facts)


def prepare_image(slug: str, report: Report) -> None:
    """Ensure that a droplet can be made: disk space, and the image, which is built now if it is not in the cache.

    Without this call the first droplet's boot builds it, without progress messages.

    Raises CoursehubError for an unknown image, a full disk or a failed build.
    """
    images.base_image(slug, report)


def _start(identity: Identity) -> dict[str, object]:
    root = Path(__file__).resolve().parents[2]
    with (identity.directory / LOG).open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "runner.local.server", "--state", str(identity.state)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(root)},
        )
    try:
        return _wait_for(child, identity)
    except BaseException:
        # Also after an interrupt: before the server has written its record, nobody else can find it to stop it.
        child.kill()
        child.wait()
        raise


def _wait_for(child: subprocess.Popen[bytes], identity: Identity) -> dict[str, object]:
    """Wait for the record that a new server writes when it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        facts = facts_of(identity)
        if facts.get("pid") == child.pid:
            return facts
        time.sleep(0.05)
    path = identity.directory / LOG
    lines = path.read_text(errors="replace").strip().splitlines() or ["no message"]
    raise CoursehubError(f"the local cloud did not start: {lines[-1]}; its log is {path}")
