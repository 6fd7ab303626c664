"""After how many seconds without use a person's server is stopped: the time of their role, which is a Unix group."""

import grp
import os
import pwd
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

#: Seconds after its own start, and so the hub's, in which the culler stops nothing. While the hub was away, no server
#: could report its use. Afterwards each reports again within about a minute.
GRACE = 120.0


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


def arbiter(times: IdleTimes, clock: Callable[[], float] = time.monotonic) -> Callable[..., bool]:
    """Return the culler's hook: whether to stop a server, as the hub's API shows it, after the time ``inactive``.

    ``clock`` returns seconds.
    """
    began = clock()

    def stops(*, inactive: timedelta, server: dict[str, Any], **_: Any) -> bool:
        if clock() - began < GRACE:
            return False
        return 0 < times.of(server["full_name"].partition("/")[0]) <= inactive.total_seconds()

    return stops


def groups_of(account: str) -> set[str]:
    """Return the names of an account's Unix groups; none if there is no such account."""
    try:
        numbers = os.getgrouplist(account, pwd.getpwnam(account).pw_gid)
    except KeyError:
        return set()
    return {group.gr_name for group in grp.getgrall() if group.gr_gid in numbers}
