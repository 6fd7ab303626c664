"""``coursehub rehearse``."""

from __future__ import annotations

import click

from runner.cli.base import as_json_option, cli, course_argument, emit, project
from runner.console import Steps


@cli.command()
@course_argument
@click.option("--students", type=click.IntRange(1, 500), required=True, help="How many students sign in.")
@click.option(
    "--over",
    type=click.FloatRange(0),
    default=0.0,
    help="Spread the sign-ins over so many seconds; the default is all at once.",
)
@click.option("--started", is_flag=True, help="Start the servers first, as before a class in the timetable.")
@click.option("--yes", is_flag=True, help="Run even if people are working on the server.")
@as_json_option
def rehearse(course: str, as_json: bool, *, students: int, over: float, started: bool, yes: bool) -> None:
    """Test with temporary students how many the server can take."""
    from runner.rehearsal import advice
    from runner.verbs import rehearse as verb

    way = verb.Way(students=students, over=over, started=started)
    document = verb.rehearse(project(), course, Steps(), way, disturb=yes)
    emit(document, as_json, advice.lines(document))
