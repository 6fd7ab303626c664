"""The log of who opened whose work: one JSON line for each, in a file of root's own.

Not the journal: every student's program may write to that under any name, and fill it until older lines are gone.
"""

import json
import os
from datetime import UTC, datetime

LOG = "/var/log/coursehub/openings.log"


def record(who: str, whose: str, what: str) -> None:
    """Append that ``who`` opened ``whose`` work; ``what`` says how. Raises OSError when it cannot be written.

    No names of files: they are students' words, and say no more about whether somebody looked.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"when": when, "who": who, "whose": whose, "what": what}) + "\n"
    descriptor = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # One write, so that lines of hub and page never mix.
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
