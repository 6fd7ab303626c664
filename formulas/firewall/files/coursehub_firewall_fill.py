#!/usr/bin/python3 -I
"""Tell the firewall what only this machine knows: its resolvers, and the uids of accounts that rules name.

Run after each load of the rules, at boot once the network is there, and when /etc/resolv.conf or /etc/passwd changes.
With --check it changes nothing and ends with 1 if the firewall knows something else.
"""

from __future__ import annotations

import ipaddress
import json
import pwd
import subprocess
import sys
from pathlib import Path

CONFIG = Path("/etc/coursehub/firewall/fill.json")
RESOLV_CONF = Path("/etc/resolv.conf")
FILLED = Path("/run/coursehub-firewall.filled")


def resolvers(text: str) -> list[str]:
    """Return the name servers of a resolv.conf that are addresses, without their interfaces."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.append(str(ipaddress.ip_address(words[1].partition("%")[0])))
            except ValueError:
                continue
    return sorted(set(found))


def uids(accounts: list[str]) -> list[str]:
    """Return the uids of those accounts that exist."""
    found = []
    for account in accounts:
        try:
            found.append(str(pwd.getpwnam(account).pw_uid))
        except KeyError:
            continue
    return sorted(found)


def script(accounts: dict[str, list[str]], resolv_conf: str) -> str:
    """Return nft's commands that fill the sets anew."""
    servers = resolvers(resolv_conf)
    sets = {
        "resolvers4": [one for one in servers if ":" not in one],
        "resolvers6": [one for one in servers if ":" in one],
        **{name: uids(listed) for name, listed in sorted(accounts.items())},
    }
    lines = []
    for name, elements in sets.items():
        lines.append(f"flush set inet coursehub {name}")
        if elements:
            lines.append(f"add element inet coursehub {name} {{ {', '.join(elements)} }}")
    return "\n".join(lines) + "\n"


def main(check: bool) -> int:
    """Fill the sets or, with ``check``, say by the exit code whether they are filled so."""
    accounts = json.loads(CONFIG.read_text())
    wanted = script(accounts, RESOLV_CONF.read_text() if RESOLV_CONF.exists() else "")
    if check:
        return 0 if FILLED.exists() and FILLED.read_text() == wanted else 1
    subprocess.run(["/usr/sbin/nft", "-f", "-"], input=wanted, text=True, check=True)
    FILLED.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
