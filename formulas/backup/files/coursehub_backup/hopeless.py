"""Failures that waiting does not mend. restic repeats each step that fails for 15 minutes, whatever the reason."""

from __future__ import annotations

import re
from collections import Counter

#: So many failures of one step are enough; restic makes them within some ten seconds.
TRIES = 3
#: Failures to reach the target at all. It may have been away for a moment; restic makes these within a minute.
CONTACTS = 6
_FAILED = re.compile(
    rb"^(?P<step>\w+\(<[^\n]*?\)) returned error, retrying after [^:\n]*: (?P<why>[^\n]*)\n", re.MULTILINE
)
_WORDS = (b"read-only file system", b"no space left on device", b"quota exceeded", b"permission denied")


def why(said: bytes, *, reads: bool) -> bytes | None:
    """The reason in restic's words, from what it has said until now; None while there is hope.

    A command that only ``reads`` needs no lock, so for it any reason is enough why a lock cannot be written. A target
    that is away for longer than a minute is told, and the next backup tries again.
    """
    failures: Counter[bytes] = Counter()
    for found in _FAILED.finditer(said):
        step, reason = found["step"], found["why"]
        failures[step] += 1
        lock = step.startswith(b"Save(<lock/")
        certain = (lock and reads) or any(words in reason.lower() for words in _WORDS)
        if certain and failures[step] >= TRIES:
            return b"Fatal: " + (b"unable to create lock in backend: " if lock else b"") + reason
        if b"(<config/" in step and b"bucket does not exist" in reason and failures[step] >= TRIES:
            # In restic's words for a repository that does not exist.
            return (
                b"Fatal: unable to open config file: " + reason + b"\nIs there a repository at the following location?"
            )
        if b"(<config/" in step and failures[step] >= CONTACTS:
            return b"Fatal: the target does not answer as it should: " + reason
    return None
