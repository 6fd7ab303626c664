"""The log of who opened whose work: one JSON line for each opening, in a file that only root can read.

It is not the journal, which keeps lines only until it is full, and which every service of the server writes to.
"""

import json
import os
from datetime import UTC, datetime

LOG = "/var/log/coursehub/openings.log"


def record(who: str, whose: str, what: str) -> None:
    """Append that ``who`` opened ``whose`` work; ``what`` says how. Raises OSError if it cannot be written.

    The log has no file names: students choose them, and they are not needed to know whether a person looked.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"when": when, "who": who, "whose": whose, "what": what}) + "\n"
    descriptor = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # One write, so that lines of the hub and of the page never mix.
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
