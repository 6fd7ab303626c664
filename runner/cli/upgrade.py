"""``upgrade`` and ``rollback``."""

from __future__ import annotations

import click

from runner.cli.base import as_json_option, cli, course_argument, emit, project, shown
from runner.console import Steps


@cli.command()
@course_argument
@click.option("--no-backup", "without_backup", is_flag=True, help="Do not make a backup first.")
@click.option("--reboot", is_flag=True, help="Restart the server at the end if something needs it and nobody works.")
@as_json_option
def upgrade(course: str, *, without_backup: bool, reboot: bool, as_json: bool) -> None:
    """Bring the server to this version of coursehub. Tries the new hub first; Debian's packages too if nobody works."""
    from runner.verbs import upgrade as verb

    with shown(as_json, lambda done: verb.lines({"course": course, **done})):
        document = verb.upgrade(project(), course, Steps(), without_backup=without_backup, reboot=reboot)
    emit(document, as_json, verb.lines(document))


@cli.command()
@course_argument
@as_json_option
def rollback(course: str, as_json: bool) -> None:
    """Put the version before the last upgrade back. What people made since stays."""
    from runner.verbs import upgrade as verb

    document = verb.rollback(project(), course, Steps())
    emit(document, as_json, verb.lines(document))
