"""``coursehub passwords``: the sheet of first passwords, and new passwords for people who forgot theirs."""

from __future__ import annotations

import click

from runner.cli.base import as_json_option, cli, course_argument, emit, project, shown
from runner.console import Steps


@cli.command()
@course_argument
@click.option("--csv", "as_csv", is_flag=True, help="Write a CSV table instead of a page to print.")
@click.option("--new", "only_new", is_flag=True, help="Only passwords that were not printed yet, as of late students.")
@click.option("--reset", metavar="ACCOUNT", help="Make a new password for one person instead.")
@as_json_option
def passwords(course: str, as_csv: bool, only_new: bool, reset: str | None, as_json: bool) -> None:
    """Write a sheet of first passwords, or reset a password. The sheet is below .coursehub, to print and cut."""
    from runner.verbs import passwords as verb

    if reset is not None:
        with shown(as_json, lambda done: verb.reset_lines(done) if done else []):
            document = verb.reset(project(), course, reset, Steps())
        emit(document, as_json, verb.reset_lines(document))
        return
    document = verb.sheet(project(), course, as_csv=as_csv, only_new=only_new)
    emit(document, as_json, verb.sheet_lines(document))
