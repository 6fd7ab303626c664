"""Text output of the verbs, made from their documents."""

from __future__ import annotations

from collections.abc import Iterable

from runner.cli.base import Document

NO_COURSES = ["there is no course yet; 'coursehub new' writes a course file"]
#: The provider's names for a droplet's state, in words for a teacher.
_STATES = {"none": "none", "new": "starting", "active": "on", "off": "off"}
#: Widths of the columns of ``status`` after the course.
_WIDTHS = (8, 12, 14, 15, 0)


def change_lines(document: Document, test: bool) -> list[str]:
    """Lines for what ``apply`` changed, or with ``test`` would change."""
    lines = []
    for course_id, outcome in document.get("courses", {}).items():
        lines += [f"{course_id}: note: {note}" for note in outcome["notes"]]
        if "skipped" in outcome:
            lines.append(f"skipped: {outcome['skipped']}")
            continue
        if "would_make" in outcome:
            lines.append(f"{course_id}: {outcome['would_make']}")
            continue
        if "changes" not in outcome:
            # If there is only one course, its error is printed to standard error.
            lines += [outcome["error"]] if len(document["courses"]) > 1 else []
            continue
        for fact in outcome.get("facts", ()):
            lines.append(f"{course_id}: {fact['key']}: {fact['old']} -> {fact['new']} (reaches {fact['reaches']})")
        for change in outcome["changes"]:
            lines.append(
                f"{course_id}: {change['state']} {change['name']}: {change['comment'].splitlines()[0]}"
                if change["comment"]
                else f"{course_id}: {change['state']} {change['name']}"
            )
            lines += [f"    {line}" for line in change["diff"].splitlines()]
        count, failed = outcome["would_change" if test else "changed"], outcome["failed"]
        seconds = f"{outcome['seconds']} s"
        if count or failed:
            verb = "would change" if test else "changed"
            lines.append(f"{course_id}: {count} of {outcome['total']} states {verb}, {failed} failed, {seconds}")
        else:
            lines.append(f"{course_id}: is as its course file says, nothing to change ({seconds})")
    return lines if document.get("courses") != {} else NO_COURSES


def check_lines(looked: Iterable[Document]) -> list[str]:
    """One line for each check."""
    return [f"  {'ok  ' if one['ok'] else 'FAIL'} {one['name']}: {one['detail']}" for one in looked]


def status_lines(document: Document) -> list[str]:
    """The table of courses; below it the monthly cost of all servers, the age of backups, and what is missing."""
    rows = document.get("courses", ())
    if not rows:
        return NO_COURSES
    below = [f"{row['course']} costs {row['cost']['line']}" for row in rows if row.get("cost")]
    month = sum(row["cost"]["month"] for row in rows if row.get("cost"))
    if len(below) > 1:
        below.append(f"together {month:.0f} dollars a month")
    below += [f"{row['course']}: backup: {row['backup']}" for row in rows if row.get("backup")]
    below += [f"{row['course']}: drill: {row['drill']}" for row in rows if row.get("drill")]
    below += [f"note: {note}" for row in rows for note in row.get("notes", ())]
    return [_columns("COURSE", "SERVER", "CLOUD", "SIZE", "ADDRESS", "HUB"), *map(_status_line, rows), *below]


def _columns(course: str, *rest: str) -> str:
    return " ".join(
        [f"{course:<20}", *(f"{text:<{width}}" for text, width in zip(rest, _WIDTHS, strict=False))]
    ).rstrip()


def _status_line(one: Document) -> str:
    state = str(one["state"])
    return _columns(
        one["course"], _STATES.get(state, state), *(str(one[key] or "-") for key in ("cloud", "size", "ip", "url"))
    )


def down_lines(document: Document) -> list[str]:
    """What ``down`` deleted, and what it did not make and still costs money."""
    left = document["left"]
    done = "nothing was there"
    if document["removed"]:
        done = "server, DNS records and keys deleted" + ("" if left else "; nothing is left that costs money")
    saved = [f"  {document['saved']}"] if document.get("saved") else []
    return [f"{document['course']}: {done}", *saved] + [
        f"  left: {one['kind']} {one['name']}, about {one['month']:.0f} dollars a month; coursehub did not make it, "
        "so it stays. Delete it in the control panel if nobody needs it"
        for one in left
    ]
