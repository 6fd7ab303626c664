"""Makes temporary accounts on a server, and removes them completely."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.agreed import GROUPS_OF, PATHS

PREFIX = "rehearsal-"
#: The comment field of these accounts. An account without it is never touched, whatever its name.
_MARK = "made for a rehearsal by coursehub"

#: Removes everything of these accounts. A running hub keeps people in memory, so a hub that knows them is restarted.
#: That takes two seconds; other people's servers and kernels keep running.
_AWAY = rf"""
accounts=$(getent passwd | awk -F: '$1 ~ /^{PREFIX}[0-9]+$/ && $5 == "{_MARK}" {{print $1}}')
if [ -n "$accounts" ]; then
  systemctl stop $(printf 'jupyter-%s.service ' $accounts) || true
fi
for account in $accounts; do
  pkill -KILL -u "$account" || true
  userdel --remove --force "$account" 2> /dev/null || true
done
cd {PATHS["hub_state"]}
forget() {{
  {PATHS["hub"]}/hub/current/bin/python -I - "$1" << 'FORGET'
import pwd, sys
from jupyterhub import orm

def gone(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return True
    return False

session = orm.new_session_factory("sqlite:///{PATHS["hub_state"]}/jupyterhub.sqlite")()
known = [user for user in session.query(orm.User).filter(orm.User.name.like("{PREFIX}%")) if gone(user.name)]
print(len(known))
if sys.argv[1] == "now":
    for user in known:
        session.delete(user)
    session.commit()
FORGET
}}
if [ -e jupyterhub.sqlite ] && [ "$(forget ask)" != 0 ]; then
  systemctl stop jupyterhub
  forget now > /dev/null || failed=1
  systemctl start jupyterhub
  [ -z "${{failed:-}}" ]
fi
"""


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
    lines = ["set -eu", _AWAY]
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
    return f"set -eu\n{_AWAY}"


#: Prints how many servers of real people run.
AT_WORK = (
    "systemctl list-units --state=active,activating --no-legend --plain 'jupyter-*.service' "
    f"| grep -cv '^jupyter-{PREFIX}' || true"
)
