"""The roles of a course's people."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["professors", "assistants", "students", "guests"]
#: The most powerful role first.
ROLES: tuple[Role, ...] = get_args(Role)
#: Roles that see other people's work. An import never changes these people by name or account.
STAFF: frozenset[Role] = frozenset({"professors", "assistants"})
