"""``coursehub secrets``: what git keeps encrypted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.project import Project

Document = dict[str, Any]

_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
_course = click.argument("course")


def add_to(cli: click.Group, project: Callable[[], Project]) -> None:
    """Add the verb; ``project`` is asked for when it runs."""
    cli.add_command(_secrets(project))


def _emit(document: Document, as_json: bool, lines: list[str]) -> None:
    for line in [json.dumps(document)] if as_json else lines:
        click.echo(line)


def _piped(name: str) -> str:
    """All of what is piped in. What is no text Python refuses at once or when it is written, as the locale has it."""
    try:
        value = sys.stdin.read()
        value.encode()
    except UnicodeError as error:
        raise CoursehubError(
            f"{name}: what is piped in is no text (UTF-8); pipe in text, such as the file's base64", exit_code=USAGE
        ) from error
    return value


def _secrets(project: Callable[[], Project]) -> click.Group:
    @click.group()
    def secrets() -> None:
        """Keep secrets encrypted in git, and make new ones."""

    @secrets.command("set")
    @_course
    @click.argument("name")
    @_as_json
    def set_(course: str, name: str, as_json: bool) -> None:
        """Set the secret NAME to what is typed (unseen) or piped in."""
        from runner.verbs import secrets as verb

        value = (
            str(click.prompt(f"{name} (not shown)", hide_input=True, err=True)) if sys.stdin.isatty() else _piped(name)
        )
        document = verb.set_(project(), course, name, value, Steps().say)
        _emit(
            document,
            as_json,
            [f"{course}: {name} is set for {_count(len(document['keys']), 'key')}; commit {document['file']}"],
        )

    @secrets.command()
    @_course
    @click.argument("name", required=False)
    @_as_json
    def show(course: str, name: str | None, as_json: bool) -> None:
        """Print the secret NAME, or without one the names of all."""
        from runner.verbs import secrets as verb

        document = verb.show(project(), course, name)
        _emit(document, as_json, [document["value"].rstrip("\n")] if name else document["names"])

    @secrets.command()
    @_course
    @click.argument("name")
    @_as_json
    def remove(course: str, name: str, as_json: bool) -> None:
        """Take the secret NAME out."""
        from runner.verbs import secrets as verb

        document = verb.remove(project(), course, name)
        _emit(document, as_json, [f"{course}: {name} removed; old copies stay in git's history: make it invalid"])

    @secrets.command()
    @_as_json
    def key(as_json: bool) -> None:
        """Make this computer's key, if there is none, and say where both halves are."""
        from runner.verbs import secrets as verb

        document = verb.key(project(), Steps().say)
        _emit(document, as_json, verb.key_lines(document))

    @secrets.command()
    @click.argument("course", required=False)
    @click.argument("what", required=False)
    @_as_json
    def rotate(course: str | None, what: str | None, as_json: bool) -> None:
        """Encrypt everything for the keys in pillar/secrets/keys/; or make a new secret WHAT for COURSE.

        WHAT is proxy-token, sync-token, cookie-secret, ssh-key or deploy-key-REPOSITORY.
        """
        from runner.verbs import secrets as verb

        if course is None:
            document = verb.encrypt_anew(project(), Steps().say)
            _emit(document, as_json, verb.anew_lines(document))
            return
        if what is None:
            raise CoursehubError(
                f"say what to make new: {', '.join(verb.ROTATED)}; or no course, to encrypt everything for the "
                "teachers' keys",
                exit_code=USAGE,
            )
        document = verb.rotate(project(), course, what, Steps())
        _emit(document, as_json, [f"{course}: new {what}; {document['disturbs']}"])

    return secrets


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
