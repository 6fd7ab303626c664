"""``coursehub new``, ``validate`` and ``schema``: verbs on the course file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from runner.cli.base import as_json_option, cli, course_argument, courses_argument, emit, project
from runner.console import fail
from runner.errors import USAGE


@cli.command()
@course_argument
@click.option("--from", "old", metavar="OLDCOURSE", help="Copy the choices of that course, without its people.")
@click.option("--title", help="The name of the course.")
@click.option("--domain", help="The address that students type.")
@click.option("--contact", help="Your email address, for the account at the certificate authority.")
@click.option("--professor", help="Your name.")
@click.option("--account", help="Your account on the hub; the default is your last name.")
@click.option("--email", help="Your email address at the college; the default is --contact.")
@click.option("--cloud", help="Where the server is created: local (this computer) or digitalocean.")
@click.option("--size", help="The size of the server, by the cloud's own name, such as s-4vcpu-8gb.")
@click.option("--timezone", help="The time zone of the course, such as America/Los_Angeles.")
@click.option("--packages", help="Python packages, separated by commas.")
@as_json_option
def new(course: str, old: str | None, as_json: bool, **answers: str | None) -> None:
    """Write a new course file. Asks for what is not given as an option."""
    from runner.verbs import courses as verb

    # With --json the caller is a program, which cannot answer questions.
    ask = _ask if sys.stdin.isatty() and not as_json else None
    document = verb.new(project(), course, answers, old, ask)
    emit(document, as_json, new_lines(document))


@cli.command()
@courses_argument
@as_json_option
def validate(courses: tuple[str, ...], as_json: bool) -> None:
    """List all mistakes in course files, each with its line. Without COURSE: in all of them."""
    from runner.verbs import courses as verb

    document = verb.validate(project(), list(courses))
    wrong = [error for one in document["courses"] for error in one["errors"]] + document["errors"]
    lines = [f"{error['file']}:{error['line']}: {error['message']}" for error in wrong]
    lines += [f"{one['file']}: good" for one in document["courses"] if one["ok"]]
    emit(document, as_json, lines)
    if wrong:
        files = len({error["file"] for error in wrong})
        fail(f"{len(wrong)} mistake{'s' * (len(wrong) > 1)} in {files} course file{'s' * (files > 1)}; correct them")
        sys.exit(USAGE)


@cli.command()
@click.option("--write", is_flag=True, help="Update the schema file, docs/course-file.md and the example.")
@as_json_option
def schema(write: bool, as_json: bool) -> None:
    """Print the JSON schema of the course file, for editors."""
    from runner.course.schema import text
    from runner.verbs import generated

    if not write:
        click.echo(text(), nl=False)
        return
    document = generated.write(project())
    emit(document, as_json, [f"{path} written" for path in document["written"]] or ["nothing to write"])


def new_lines(document: dict[str, Any]) -> list[str]:
    """What to do with a new course file."""
    return [
        f"{document['file']} written; look at:",
        *(f"  {line}" for line in document["look_at"]),
        f"then: {' and '.join(document['next'])}",
    ]


def _ask(_key: str, question: str, default: str | None, wrong: Callable[[str], str | None]) -> str:
    """Ask until the answer is valid. At the end of the input the verb ends and nothing is written."""
    from rich.console import Console
    from rich.prompt import Prompt

    console = Console(stderr=True, highlight=False)
    while True:
        try:
            # rich would show an empty default as "()".
            answer = Prompt.ask(question, console=console, default=default, show_default=bool(default)) or ""
        except EOFError:
            raise click.Abort from None
        message = wrong(answer.strip())
        if message is None:
            return answer.strip()
        console.print(message, style="red", markup=False)
