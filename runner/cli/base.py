"""What all verbs share on the command line: the group, the common options, and the output of documents.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from runner.errors import CoursehubError
from runner.plain import plain
from runner.project import Project

Document = dict[str, Any]


@dataclass
class Running:
    """What the error handler knows about a failed verb: the course, and whether its document was printed already."""

    course: str | None = None
    printed: bool = False


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Makes a JupyterHub for a class from one file, pillar/courses/COURSE.sls. Begin with 'coursehub new COURSE'."""


def running() -> Running:
    """The state of the running verb's output."""
    return click.get_current_context().find_root().ensure_object(Running)


def _note_course(_context: click.Context, _parameter: click.Parameter, course: str | None) -> str | None:
    running().course = course
    return course


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
course_argument = click.argument("course", callback=_note_course)
course_or_none = click.argument("course", required=False, callback=_note_course)
courses_argument = click.argument("courses", nargs=-1, metavar="[COURSE...]")


def project() -> Project:
    """The working copy that the verb works on."""
    return Project.here()


def emit(document: Document, as_json: bool, lines: Iterable[str]) -> None:
    """Print a verb's result: the JSON document, or its lines for a person."""
    if as_json:
        click.echo(json.dumps(document))
        running().printed = True
        return
    for line in lines:
        click.echo(plain(line))


@contextlib.contextmanager
def shown(as_json: bool, lines: Callable[[Document], Iterable[str]]) -> Iterator[None]:
    """Print the ``lines`` of what a failed verb did complete. Its JSON document is printed when the program ends."""
    try:
        yield
    except CoursehubError as failure:
        if not as_json:
            emit(failure.document, as_json, lines(failure.document))
        raise
