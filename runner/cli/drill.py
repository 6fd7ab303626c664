"""``coursehub drill``."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from runner.cli.base import as_json_option, cli, course_argument, emit, project
from runner.console import Steps
from runner.errors import USAGE, CoursehubError


@cli.command()
@course_argument
@click.option("--yes", is_flag=True, help="Do not ask before a server is created that costs money.")
@as_json_option
def drill(course: str, yes: bool, as_json: bool) -> None:
    """Restore the newest backup onto a throw-away server, and try it. Touches nothing of the real server."""
    from runner.verbs import drill as verb

    def agree(what: str) -> None:
        if yes:
            return
        click.echo(what, err=True)
        if not sys.stdin.isatty():
            raise CoursehubError(f"a drill costs money; say 'coursehub drill {course} --yes'", exit_code=USAGE)
        if not click.confirm("Make it?", default=False, err=True):
            raise CoursehubError("not confirmed; nothing was made")

    # cron mails all that is printed: only a failure is worth a line there.
    console = Console(stderr=True, highlight=False, quiet=not sys.stderr.isatty())
    document = verb.drill(project(), course, Steps(console), agree)
    emit(document, as_json, verb.lines(document))
