"""``coursehub lock``: the Python packages of courses and of this repository."""

from __future__ import annotations

import click

from runner.cli.base import as_json_option, cli, course_or_none, emit, project
from runner.console import Steps
from runner.errors import USAGE, CoursehubError


@cli.command()
@course_or_none
@click.option("--all", "every", is_flag=True, help="All locks here: of servers, of this computer and of courses.")
@click.option("--upgrade", is_flag=True, help="Take the newest versions instead of keeping locked ones that still fit.")
@as_json_option
def lock(course: str | None, every: bool, upgrade: bool, as_json: bool) -> None:
    """Choose exact versions of the course's packages. Writes them below pillar/files/locks/; commit the file."""
    from runner.verbs import locking

    if every == bool(course):
        raise CoursehubError("say which course, or --all", exit_code=USAGE)
    if course is None:
        document = locking.lock_all(project(), Steps(), upgrade=upgrade)
        changed = [f"{path}: changed; commit it" for path in document["changed"]]
        emit(document, as_json, changed or ["no version changed; commit the new dates"])
        return
    document = locking.lock(project(), course, Steps(), upgrade=upgrade)
    emit(document, as_json, [f"{document['lock']}: {document['packages']} packages; commit it"])
