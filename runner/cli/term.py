"""The verbs at the end of a term."""

from __future__ import annotations

import click

from runner.cli.base import as_json_option, cli, course_argument, emit, project
from runner.cli.course_file import new_lines
from runner.console import Steps


@cli.command()
@course_argument
@as_json_option
def archive(course: str, as_json: bool) -> None:
    """Archive the term on this computer, and read all of it back. One encrypted file, and a zip for each student."""
    from runner.verbs import archive as verb

    document = verb.archive(project(), course, Steps())
    emit(document, as_json, verb.lines(document))


@cli.command()
@click.argument("old")
@click.argument("new")
@click.option("--title", help="The name of the course next term.")
@click.option("--domain", help="Another address; without this, the next term has the same.")
@click.option(
    "--discard-student-work", "discard", is_flag=True, help="Do not archive the class's work. Nothing is deleted."
)
@as_json_option
def rollover(old: str, new: str, *, title: str | None, domain: str | None, discard: bool, as_json: bool) -> None:
    """Archive course OLD, and write the next term's file NEW. It has the choices of OLD without the class."""
    from runner.verbs import rollover as verb

    given = {"title": title, "domain": domain}
    document = verb.rollover(project(), old, new, given, Steps(), discard_work=discard)
    emit(document, as_json, [*verb.lines(document), *new_lines(document)])


@cli.command()
@course_argument
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="How long the links work.")
@click.option("--on", metavar="COURSE", help="The course whose hub serves the files; the default is this one's own.")
@as_json_option
def handback(course: str, *, days: int, on: str | None, as_json: bool) -> None:
    """Give each student a private link to their own files. They are those of the newest archive."""
    from runner.verbs import handback as verb

    document = verb.handback(project(), course, Steps(), days=days, on=on)
    emit(document, as_json, verb.lines(document))
