"""``coursehub passwords``: the sheet of first passwords, and new passwords for people who forgot theirs."""

from __future__ import annotations

import click

from runner.cli.base import as_json_option, cli, course_argument, emit, project, shown
from runner.console import Steps
from runner.errors import USAGE, CoursehubError


@cli.command()
@course_argument
@click.option("--csv", "as_csv", is_flag=True, help="Write a CSV table instead of a page to print.")
@click.option("--new", "only_new", is_flag=True, help="Only passwords that were not printed yet, as of late students.")
@click.option("--reset", metavar="ACCOUNT", help="Make a new password for one person instead.")
@as_json_option
def passwords(course: str, as_csv: bool, only_new: bool, reset: str | None, as_json: bool) -> None:
    """Write a sheet of first passwords, or reset a password. The sheet is below .coursehub, to print and cut."""
    from runner.verbs import passwords as verb

    useless = [name for name, said in (("--csv", as_csv), ("--new", only_new)) if said]
    if reset is not None and useless:
        raise CoursehubError(
            f"--reset makes one new password and no sheet; say it without {' and '.join(useless)}", exit_code=USAGE
        )
    if reset is not None:
        with shown(as_json, lambda done: verb.reset_lines(done) if done else []):
            document = verb.reset(project(), course, reset, Steps())
        emit(document, as_json, verb.reset_lines(document))
        return
    document = verb.sheet(project(), course, as_csv=as_csv, only_new=only_new)
    emit(document, as_json, verb.sheet_lines(document))
