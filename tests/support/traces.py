"""What a local cloud leaves on a host, for comparison before and after."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from runner.local.identity import Identity


def host_objects() -> dict[str, list[str]]:
    """Everything that a local cloud may create on this host, by kind."""

    def lines(*argv: str) -> list[str]:
        return sorted(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines())

    return {
        "namespaces": lines("ip", "netns", "list"),
        "links": sorted(link["ifname"] for link in json.loads("".join(lines("ip", "-json", "link")))),
        "tables": lines("nft", "list", "tables"),
        "mounts": sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()),
        "loops": [line.strip() for line in lines("losetup", "--noheadings", "--output", "BACK-FILE")],
        # Path.glob fails if another test's group is removed meanwhile.
        "groups": sorted(
            f"{directory}/{name}"
            for directory, names, _ in os.walk("/sys/fs/cgroup")
            for name in names
            if name.startswith("ch-")
        ),
        "hosts": Path("/etc/hosts").read_text().splitlines(),
        "processes": sorted(
            name
            for name in commands()
            if name.startswith(("systemd-nspawn", "pebble")) or "runner.local.server" in name
        ),
        "nspawn": sorted(str(path) for path in Path("/run/systemd/nspawn").glob("*/*")),
        "disks": sorted(str(path) for path in Path("/var/lib/coursehub").glob("*")),
        "forwarding": [Path("/proc/sys/net/ipv4/ip_forward").read_text()],
    }


def commands() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def traces_of(state: Path) -> dict[str, list[str]]:
    """What is on this host of the local cloud of one state directory; empty if nothing is."""
    key = Identity.of(state).key
    found = {
        kind: [name for name in names if key in name or str(state) in name] for kind, names in host_objects().items()
    }
    return {kind: names for kind, names in found.items() if names}
