"""After how many seconds without use a person's server is stopped: the time of their role, which is a Unix group."""

import grp
import os
import pwd
from dataclasses import dataclass, field


@dataclass(frozen=True)
class IdleTimes:
    """``seconds`` is for everybody who is in none of ``groups``, which have times of their own; 0 is never."""

    seconds: int
    groups: dict[str, int] = field(default_factory=dict)

    def of(self, account: str) -> int:
        """Return the time of one person; of several groups the longest."""
        return max((self.groups[name] for name in groups_of(account) if name in self.groups), default=self.seconds)

    @property
    def shortest(self) -> int:
        """The shortest of all times."""
        return min([self.seconds, *self.groups.values()])


def groups_of(account: str) -> set[str]:
    """Return the names of an account's Unix groups; none if there is no such account."""
    try:
        numbers = os.getgrouplist(account, pwd.getpwnam(account).pw_gid)
    except KeyError:
        return set()
    return {group.gr_name for group in grp.getgrall() if group.gr_gid in numbers}
