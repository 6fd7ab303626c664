"""Makes temporary accounts on a server, and removes them completely."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.agreed import GROUPS_OF, PATHS

PREFIX = "rehearsal-"
#: The comment field of these accounts. An account without it is never touched, whatever its name.
_MARK = "made for a rehearsal by coursehub"

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Person:
    """A temporary person of a rehearsal."""

    account: str
    password: str = field(repr=False)


def people(number: int) -> list[Person]:
    """So many temporary people, each with a new password."""
    return [Person(f"{PREFIX}{place:03}", secrets.token_hex(16)) for place in range(1, number + 1)]


def begin(crowd: Sequence[Person]) -> str:
    """A shell script that makes the accounts. First it removes what a killed rehearsal left.

    It contains passwords, so never pass it in argv.
    """
    groups = f"{GROUPS_OF['everybody']},{GROUPS_OF['students']}"
    lines = [end()]
    for person in crowd:
        lines += [
            f"useradd --create-home --user-group --shell /bin/bash --comment '{_MARK}' --groups {groups} "
            f"{person.account}",
            f"chmod 0700 {PATHS['homes']}/{person.account}",
        ]
    typed = "\n".join(f"{person.account}:{person.password}" for person in crowd)
    return "\n".join([*lines, f"chpasswd << 'PASSWORDS'\n{typed}\nPASSWORDS\n"])


def end() -> str:
    """A shell script that removes the accounts."""
    forget, remove = ((_HERE / name).read_text(encoding="utf-8") for name in ("forget.py", "remove.sh"))
    return (
        f"forget() {{\n{PATHS['hub']}/hub/current/bin/python -I - \"$@\" << 'FORGET'\n{forget}FORGET\n}}\n"
        f"set -- '{PREFIX}' '{_MARK}' '{PATHS['hub_database']}'\n{remove}"
    )


#: Prints how many servers of real people run.
AT_WORK = (
    "systemctl list-units --state=active,activating --no-legend --plain 'jupyter-*.service' "
    f"| grep -cv '^jupyter-{PREFIX}' || true"
)
