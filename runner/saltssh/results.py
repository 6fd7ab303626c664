"""Parses Salt's JSON into a typed report. Whether a state changed something is decided only here."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

from runner.errors import CoursehubError
from runner.saltssh.causes import Cause, cause


@dataclass(frozen=True)
class StateResult:
    """One state of a highstate. ``result`` is True, False, or None for "would change" under test=True."""

    state: str
    name: str
    sls: str
    comment: str
    result: bool | None
    changes: dict[str, Any]
    warnings: tuple[str, ...]
    seconds: float
    order: int

    @property
    def changed(self) -> bool:
        """Whether the state changed something, or would change it."""
        return self.result is None or bool(self.changes)

    @property
    def reason(self) -> str:
        """Why it failed, in one line: the last output of its program, if it ran one."""
        said = str(self.changes.get("stderr") or "").strip().splitlines()
        return said[-1] if said else " ".join(self.comment.split())

    @property
    def cause(self) -> Cause | None:
        """The external cause of the failure, if its message shows a known one."""
        return cause(f"{self.comment}\n{self.changes.get('stderr') or ''}\n{self.changes.get('stdout') or ''}")

    @property
    def skipped(self) -> bool:
        """Whether it failed only because a state that it requires had failed."""
        return self.result is False and "requisite" in self.comment


@dataclass(frozen=True)
class Report:
    """A whole highstate of one server, in the order in which the states ran."""

    course_id: str
    states: tuple[StateResult, ...]

    @property
    def failed(self) -> tuple[StateResult, ...]:
        """The states that failed themselves."""
        return tuple(state for state in self.states if state.result is False and not state.skipped)

    @property
    def changed(self) -> tuple[StateResult, ...]:
        """The states that changed something, or would under test=True."""
        return tuple(state for state in self.states if state.changed)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the states."""
        return tuple(warning for state in self.states for warning in state.warnings)

    @property
    def failed_count(self) -> int:
        """The number of failed states, including those that could not be tried."""
        return sum(state.result is False for state in self.states)


def _error_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    telling = [
        line
        for line in lines
        if line.startswith(("Rendering", "Specified SLS", "Pillar", "Jinja"))
        or "; line" in line
        or "error" in line.lower()
    ]
    return (telling or lines or ["no answer"])[0][:400]


def parse(course_id: str, stdout: str, stderr: str, *, minion: str | None = None) -> Report:
    """Parse the output of ``salt-ssh --out=json``. ``minion`` is the document's key if it is not the course's id.

    Exit codes cannot be trusted (no match in the roster and a broken pillar both exit 0), so the document is checked:
    it must have our minion's key, and below it a mapping with ``_|-`` keys. Raises CoursehubError for anything else.
    """
    start = stdout.find("{")
    try:
        document = json.loads(stdout[start:]) if start >= 0 else {}
    except json.JSONDecodeError as error:
        raise CoursehubError(
            f"{course_id}: salt-ssh ended in the middle ({_error_line(stderr or stdout)}); run the same command again"
        ) from error
    answer = document.get(minion or course_id)
    if answer is None:
        raise CoursehubError(
            f"{course_id}: salt-ssh gave no answer ({_error_line(stderr or stdout)}); run the same command again"
        )
    if isinstance(answer, list):
        raise CoursehubError(f"{course_id}: the states do not render: {_error_line(' '.join(map(str, answer)))}")
    if isinstance(answer, str):
        raise CoursehubError(f"{course_id}: {_error_line(answer)}")
    if not any("_|-" in key for key in answer):
        text = str(answer.get("stderr") or answer.get("_error") or answer.get("stdout") or answer)
        raise CoursehubError(f"{course_id}: {_error_line(text)}; run the same command again")
    return Report(
        course_id, tuple(sorted((_state(key, value) for key, value in answer.items()), key=lambda state: state.order))
    )


def _state(key: str, value: dict[str, Any]) -> StateResult:
    module, identifier, name, function = key.split("_|-")
    comment = value.get("comment") or ""
    return StateResult(
        state=f"{module}.{function}",
        name=value.get("__id__") or identifier or name,
        sls=value.get("__sls__") or "",
        comment="; ".join(map(str, comment)) if isinstance(comment, list) else str(comment).strip(),
        result=value.get("result"),
        changes=value.get("changes") or {},
        warnings=tuple(value.get("warnings") or ()),
        seconds=float(value.get("duration") or 0) / 1000,
        order=int(value.get("__run_num__") or 0),
    )


def document_in(said: str) -> dict[str, Any] | None:
    """The last JSON document among the lines that a program on the server printed; None if there is none."""
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                found: dict[str, Any] = json.loads(line)
                return found
    return None
