"""What the teachers' page says of itself: who is short of disk space, and what is wrong with the backups."""

import json
from pathlib import Path

# Bytes of a line that root's timer wrote.
LONGEST = 500


def notices(summary: str, backup: str) -> list[str]:
    """Return lines from the files of the formulas homes and backup; an empty path is no file."""
    return [line for line in (_of_the_backup(backup), _of_the_disk(summary)) if line]


def _of_the_disk(summary: str) -> str:
    try:
        found = json.loads(Path(summary).read_text(encoding="utf-8"))["short"] if summary else []
    except (OSError, ValueError, KeyError):
        return ""
    if not found:
        return ""
    shares = ", ".join(f"{one['name']} {100 * one['used'] // one['limit']} %" for one in found)
    return f"Short of disk space: {shares}. At 100 % they cannot save until they delete something."


def _of_the_backup(problem: str) -> str:
    try:
        with Path(problem).open(encoding="utf-8") as file:
            line = file.read(LONGEST).strip() if problem else ""
    except (OSError, ValueError):
        return ""
    return f"Backup: {line}. The person who runs the server sees more with 'coursehub status'." if line else ""
