"""``coursehub audit``."""

from __future__ import annotations

import click

from runner.cli.base import as_json_option, cli, course_argument, emit, project, shown
from runner.console import Steps


@cli.command()
@course_argument
@click.option("--only", multiple=True, metavar="SCANNER", help="Run only this scanner; can be given several times.")
@click.option("--quick", is_flag=True, help="Run only the scanners that take seconds.")
@as_json_option
def audit(course: str, only: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Measure the hub's security. Runs independent scanners and our attacks; shows each figure beside its goal."""
    from runner.verbs import audit as verb

    with shown(as_json, verb.lines):
        document = verb.audit(project(), course, Steps(), only=only, quick=quick)
    emit(document, as_json, verb.lines(document))
