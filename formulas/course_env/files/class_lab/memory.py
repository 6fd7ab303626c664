"""Say why a kernel ended at the memory limit: Lab itself knows only that it died."""

import json
import os
import re
from pathlib import Path
from typing import Any

#: Lab's page waits for this event.
EVENT = "https://coursehub.invalid/kernel-out-of-memory"
SCHEMA = f"""
"$id": {EVENT}
version: "1"
title: A kernel was ended at the memory limit
type: object
properties:
  kernel: {{type: string}}
  message: {{type: string}}
required: [kernel, message]
"""
COURSE = Path("/etc/jupyter/class_own.json")


def watch(server: Any) -> None:
    """Send an event to the pages of a student's server when one of its kernels was killed at the memory limit."""
    server.event_logger.register_event_schema(SCHEMA)
    manager, counted = server.kernel_manager, kills(Path("/proc/self/cgroup"))
    seen = {"kills": counted}

    def died(kernel: str) -> None:
        now = kills(Path("/proc/self/cgroup"))
        if now is None or seen["kills"] is None or now <= seen["kills"]:
            return
        seen["kills"] = now
        said = message(int(os.environ.get("MEM_LIMIT") or 0), _help())
        server.event_logger.emit(schema_id=EVENT, data={"kernel": kernel, "message": said})

    start = manager.start_kernel

    async def started(*arguments: Any, **named: Any) -> str:
        kernel: str = await start(*arguments, **named)
        for happening in ("restart", "dead"):
            manager.add_restart_callback(kernel, lambda: died(kernel), happening)
        return kernel

    manager.start_kernel = started


def message(limit: int, whom: str) -> str:
    """Return the message for the student; ``limit`` is in bytes, 0 if there is none."""
    amount = f"more than the {_readable(limit)} that each person has here" if limit else "more memory than there is"
    return (
        f"The kernel needed {amount}, and was stopped. Its variables are lost, your files are not. What helps: shut "
        "down kernels that you no longer need (Running, on the left), read big files in parts (usecols=, nrows=, "
        f"chunksize=), del what you no longer use. Files in /tmp count too. {whom}"
    ).strip()


def kills(own: Path, root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many processes of this unit Linux has killed at the memory limit; None if it does not say.

    ``own`` is /proc/self/cgroup. It has a line for all (cgroup v2) or one for memory (v1).
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            counter = root / "memory" / path.lstrip("/") / "memory.oom_control"
        elif not controllers:
            counter = root / path.lstrip("/") / "memory.events"
        else:
            continue
        try:
            found = re.search(r"^oom_kill (\d+)$", counter.read_text(encoding="utf-8"), re.MULTILINE)
        except OSError:
            continue
        if found:
            return int(found[1])
    return None


def _readable(size: int) -> str:
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}".replace(".0 ", " ")
    return f"{size} bytes"


def _help() -> str:
    try:
        whom = str(json.loads(COURSE.read_text(encoding="utf-8")).get("help") or "")
    except (OSError, ValueError):
        return ""
    return f"If the exercise needs more, ask: {whom}" if whom else ""
