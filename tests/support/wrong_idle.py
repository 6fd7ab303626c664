"""Wrong values for the course file's ``idle_after``, each with the line that the teacher reads."""

from __future__ import annotations

from typing import Any

from runner.course.roles import ROLES

_MINUTES = (
    "must be a whole number from 5 to 10080, or one for each role such as {students: 120, professors: 480}; correct it"
)

#: Key: wrong values with their messages.
WRONG_IDLE: dict[str, list[tuple[Any, str]]] = {
    "idle_after": [
        (1, "idle_after (1): must be a whole number from 5 to 10080; correct it"),
        ("2h", f"idle_after ('2h'): {_MINUTES}"),
        ([60], f"idle_after: {_MINUTES}"),
        ({"student": 60}, "unknown key idle_after.student; did you mean students?"),
    ],
    **{
        f"idle_after.{role}": [(4, f"idle_after.{role} (4): must be a whole number from 5 to 10080; correct it")]
        for role in ROLES
    },
}
