#!/usr/bin/python3 -I
"""Fill the firewall's sets with what only this machine knows: its resolvers, and the uids of accounts that rules name.

It runs after each load of the rules, at boot when the network is up, and when /etc/resolv.conf or /etc/passwd changes.
With --check it changes nothing and exits with 1 if the sets were filled with something else.
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
    """Return the addresses of a resolv.conf's name servers, without their interfaces."""
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
    """Return the uids of the accounts that exist."""
    found = []
    for account in accounts:
        try:
            found.append(str(pwd.getpwnam(account).pw_uid))
        except KeyError:
            continue
    return sorted(found)


def script(accounts: dict[str, list[str]], resolv_conf: str) -> str:
    """Return the nft commands that empty the sets and fill them again."""
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
    """Fill the sets. With ``check`` only return 0 if they were filled with the same values before, else 1."""
    accounts = json.loads(CONFIG.read_text())
    wanted = script(accounts, RESOLV_CONF.read_text() if RESOLV_CONF.exists() else "")
    if check:
        return 0 if FILLED.exists() and FILLED.read_text() == wanted else 1
    subprocess.run(["/usr/sbin/nft", "-f", "-"], input=wanted, text=True, check=True)
    FILLED.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
