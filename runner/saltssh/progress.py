"""The server's log of a running highstate, in words that a teacher reads.

Salt logs a state by its name, which for a command is the command line; what it is for says the state's ID, which
is in the low state that salt-ssh ships.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

#: Shell for the server: prints the line ``states [[module, ID, name], ...]`` of the low state on standard input.
SHIPPED_STATES = (
    'python3 -I -c "import json, sys; print(\\"states\\", json.dumps('
    '[[str(low.get(key)) for key in (\\"state\\", \\"__id__\\", \\"name\\")] for low in json.load(sys.stdin)]))"'
)
#: A name of several lines is cut after its first.
_RUNNING = re.compile(r"^Running state \[(?P<name>.*?)(\] at time [0-9:.]+)?$")
_WORDS = {
    "pkg": "Debian packages",
    "uv_env": "Python environment",
    "class_accounts": "accounts",
    "user": "account",
}


@dataclass
class Story:
    """What has been read of one highstate's log so far: ``count`` states have started of ``total`` (0: not known)."""

    count: int = 0
    total: int = 0
    _shipped: dict[str, list[str]] = field(default_factory=dict)

    def read(self, line: str) -> str | None:
        """Take one line of the log; what has started, or None for a line that starts nothing."""
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
        # Two states may have one name: a file, and the command that is run when it changed.
        return (known.pop(0) if len(known) > 1 else known[0]) if known else name


def _first_line(name: str) -> str:
    return (name.strip().splitlines() or [""])[0].strip()


def _say(module: str, identifier: str, name: str) -> str:
    if module == "cmd":
        return identifier if identifier.startswith("/") else identifier.replace("-", " ")
    return f"{_WORDS.get(module, module.replace('_', ' '))} {_first_line(name)}"
