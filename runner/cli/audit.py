"""`coursehub audit`."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from runner.console import Steps
from runner.errors import CoursehubError
from runner.project import Project


def add_to(group: click.Group, project: Callable[[], Project]) -> None:
    """Add the verb; ``project`` is asked for when it runs."""

    @group.command()
    @click.argument("course")
    @click.option("--only", multiple=True, metavar="SCANNER", help="Only this scanner; may be given again.")
    @click.option("--quick", is_flag=True, help="Only the scanners that take seconds.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
    def audit(course: str, only: tuple[str, ...], quick: bool, as_json: bool) -> None:
        """Measure the hub with independent scanners and our attacks. Each figure beside its goal."""
        from runner.verbs import audit as verb

        try:
            document = verb.audit(project(), course, Steps(), only=only, quick=quick)
        except CoursehubError as failure:
            for line in verb.lines(failure.document or {}) if not as_json else ():
                click.echo(line)
            raise
        for line in [json.dumps(document)] if as_json else verb.lines(document):
            click.echo(line)
