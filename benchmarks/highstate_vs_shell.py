"""Time `state.apply` on a fresh machine against the same by a plain shell script (baseline.sh) on another.

Both machines are given by their SSH commands, so that any cloud will do; the roster is Salt's own:

    .venv/bin/python benchmarks/highstate_vs_shell.py --shell 'ssh root@A' --salt-id B --salt 'ssh root@B'

Prints one JSON document: seconds of each, and their ratio (the goal is 1.5 at most). Both end when the hub answers.
Compare only what ran on an idle host: the machines share its cores.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOAL = 1.5
HEALTH = "python3 -c 'import urllib.request; urllib.request.urlopen(\"http://127.0.0.1:8081/hub/health\", timeout=2)'"


def time_shell(ssh: list[str]) -> tuple[float, dict[str, float]]:
    """Run baseline.sh on the machine; return its seconds, and those of each part."""
    tree = subprocess.run(
        ["tar", "c", "-C", str(ROOT), "benchmarks", "formulas", "pillar/files"], capture_output=True, check=True
    ).stdout
    subprocess.run([*ssh, "mkdir -p /root/baseline && tar x -C /root/baseline"], input=tree, check=True)
    began = time.monotonic()
    done = subprocess.run(
        [*ssh, "sh /root/baseline/benchmarks/baseline.sh"], capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(f"the baseline failed: {done.stderr.strip()[-500:]}")
    parts = [line.split() for line in done.stdout.splitlines()]
    return seconds, {name: int(milliseconds) / 1000 for name, milliseconds, _ in parts}


def time_apply(minion: str, ssh: list[str], states: str | None) -> tuple[float, dict[str, float]]:
    """Apply the highstate (or ``states``); return its seconds and the ten slowest states."""
    argv = [str(ROOT / ".venv/bin/salt-ssh"), "--static", "--out=json", minion, "state.apply"]
    began = time.monotonic()
    done = subprocess.run([*argv, *([states] if states else [])], capture_output=True, text=True, check=False, cwd=ROOT)
    subprocess.run([*ssh, HEALTH], check=True)
    seconds = time.monotonic() - began
    result = json.loads(done.stdout).get(minion, done.stderr)
    chunks = result.get("return", result) if isinstance(result, dict) else {}
    failed = [chunk["comment"] for chunk in chunks.values() if chunk["result"] is False]
    if not chunks or failed:
        sys.exit(f"the apply failed: {failed or result}")
    slowest = sorted(chunks.values(), key=lambda chunk: -chunk["duration"])[:10]
    return seconds, {chunk["__id__"]: round(chunk["duration"] / 1000, 1) for chunk in slowest}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shell", required=True, help="SSH command of a fresh machine for the shell script")
    parser.add_argument("--salt", required=True, help="SSH command of a fresh machine for Salt")
    parser.add_argument("--salt-id", required=True, help="that machine's name in the roster")
    parser.add_argument("--states", help="states to apply; the highstate when left out")
    options = parser.parse_args()
    shell, parts = time_shell(shlex.split(options.shell))
    salt, slowest = time_apply(options.salt_id, shlex.split(options.salt), options.states)
    report = {"shell": round(shell, 1), "salt": round(salt, 1), "ratio": round(salt / shell, 2), "goal": GOAL}
    print(json.dumps({**report, "shell_parts": parts, "slowest_states": slowest}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
