"""What a student reads about their disk space."""

import json
from pathlib import Path

#: Each account's usage, which the server writes every minute (formula homes).
USAGE = Path("/run/coursehub-disk/home")
#: Per cent of the limit from which a student is warned, and from which nothing can be saved.
NEARLY, WHOLLY = 80, 98


def warning(usage: Path) -> tuple[int, str]:
    """Return the level (0 none, 1 nearly full, 2 full) and what a student reads."""
    try:
        found = json.loads(usage.read_text(encoding="utf-8"))
        used, limit = int(found["used"]), int(found["limit"])
    except (OSError, ValueError, KeyError):
        return 0, ""
    amounts = f"{used / 1e6:.0f} of {limit / 1e6:.0f} MB"
    if used * 100 >= limit * WHOLLY:
        return 2, f"Your disk space is used up ({amounts}). Nothing can be saved until you delete big files."
    if used * 100 >= limit * NEARLY:
        return 1, f"Your disk space is nearly used up ({amounts}). Delete what you do not need."
    return 0, ""
