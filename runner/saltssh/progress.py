"""Reads the server's log of a running highstate and describes its progress for a teacher.

Salt logs a state by its name, which for a command is the whole command line. The state's ID says more; it is in the low
state that salt-ssh ships.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

#: Shell code for the server: prints the line ``states [[module, ID, name], ...]`` of the low state on standard input.
SHIPPED_STATES = (
    'python3 -I -c "import json, sys; print(\\"states\\", json.dumps('
    '[[str(low.get(key)) for key in (\\"state\\", \\"__id__\\", \\"name\\")] for low in json.load(sys.stdin)]))"'
)
#: A name with several lines is cut after the first.
_RUNNING = re.compile(r"^Running state \[(?P<name>.*?)(\] at time [0-9:.]+)?$")
_WORDS = {
    "pkg": "Debian packages",
    "uv_env": "Python environment",
    "class_accounts": "accounts",
    "user": "account",
}


@dataclass
class Story:
    """What was read so far from one highstate's log: ``count`` of ``total`` states have started (0: not known)."""

    count: int = 0
    total: int = 0
    _shipped: dict[str, list[str]] = field(default_factory=dict)

    def read(self, line: str) -> str | None:
        """Read one line of the log; return the state that started, or None if none did."""
        if line.startswith("states "):
            for module, identifier, name in json.loads(line.removeprefix("states ")):
                self.total += 1
                self._shipped.setdefault(_first_line(name), []).append(_say(module, identifier, name))
            return None
        running = _RUNNING.match(line.rstrip("\n"))
        if running is None:
            return None
        self.count += 1
        name = running["name"].strip()
        known = self._shipped.get(name, [])
        # Two states may have the same name: a file, and the command that runs when it changed.
        return (known.pop(0) if len(known) > 1 else known[0]) if known else name


def _first_line(name: str) -> str:
    return (name.strip().splitlines() or [""])[0].strip()


def _say(module: str, identifier: str, name: str) -> str:
    if module == "cmd":
        return identifier if identifier.startswith("/") else identifier.replace("-", " ")
    return f"{_WORDS.get(module, module.replace('_', ' '))} {_first_line(name)}"
