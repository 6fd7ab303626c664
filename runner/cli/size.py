"""``coursehub size``."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.base import as_json_option, cli, course_argument, emit, project
from runner.console import Steps


@cli.command()
@course_argument
@click.option("--students", type=click.IntRange(1, 500), help="How many come at once (default: all of the course).")
@as_json_option
def size(course: str, students: int | None, as_json: bool) -> None:
    """Say which size of a server a course needs."""
    from runner.verbs import size as verb

    document = verb.size(project(), course, students, Steps())
    emit(document, as_json, _lines(document))


def _lines(one: dict[str, Any]) -> list[str]:
    mine = f"with memory for {one['holds']}" if one["holds"] is not None else "which its cloud does not have"
    return [
        f"{one['students']} people at once: {one['advice']} is the cheapest size, {one['monthly']:.0f} dollars a "
        "month.",
        f"It has memory for {one['holds_then']}. {one['course']} has {one['size']}, {mine}.",
        f"One who uses numpy, pandas and matplotlib needs {one['megabytes']} MB (measured on {one['measured']}).",
        "'coursehub rehearse' measures it on your server.",
    ]
