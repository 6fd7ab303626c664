"""``coursehub secrets``: encrypted values in git."""

from __future__ import annotations

import sys

import click

from runner.cli.base import as_json_option, cli, course_argument, course_or_none, emit, project
from runner.console import Steps
from runner.errors import USAGE, CoursehubError


def _piped(name: str) -> str:
    """Read all of the piped input.

    Depending on the locale, Python refuses bytes that are not text here or when they are written.
    """
    try:
        value = sys.stdin.read()
        value.encode()
    except UnicodeError as error:
        raise CoursehubError(
            f"{name}: what is piped in is no text (UTF-8); pipe in text, such as the file's base64", exit_code=USAGE
        ) from error
    return value


@cli.group()
def secrets() -> None:
    """Keep secrets encrypted in git, and make new ones."""


@secrets.command("set")
@course_argument
@click.argument("name")
@as_json_option
def set_(course: str, name: str, as_json: bool) -> None:
    """Set the secret NAME to what you type (it is not shown) or pipe in."""
    from runner.verbs import secrets as verb

    value = str(click.prompt(f"{name} (not shown)", hide_input=True, err=True)) if sys.stdin.isatty() else _piped(name)
    document = verb.set_(project(), course, name, value, Steps().say)
    emit(
        document,
        as_json,
        [f"{course}: {name} is set for {_count(len(document['keys']), 'key')}; commit {document['file']}"],
    )


@secrets.command()
@course_argument
@click.argument("name", required=False)
@as_json_option
def show(course: str, name: str | None, as_json: bool) -> None:
    """Print the secret NAME. Without NAME, list the names of all secrets."""
    from runner.verbs import secrets as verb

    document = verb.show(project(), course, name)
    emit(document, as_json, [document["value"].rstrip("\n")] if name else document["names"])


@secrets.command()
@course_argument
@click.argument("name")
@as_json_option
def remove(course: str, name: str, as_json: bool) -> None:
    """Remove the secret NAME."""
    from runner.verbs import secrets as verb

    document = verb.remove(project(), course, name)
    emit(document, as_json, [f"{course}: {name} removed; old copies stay in git's history: make it invalid"])


@secrets.command()
@as_json_option
def key(as_json: bool) -> None:
    """Make this computer's key for secrets. Shows where it is; an existing key stays."""
    from runner.verbs import secrets as verb

    document = verb.key(project(), Steps().say)
    emit(document, as_json, verb.key_lines(document))


@secrets.command()
@course_or_none
@click.argument("what", required=False)
@as_json_option
def rotate(course: str | None, what: str | None, as_json: bool) -> None:
    """Encrypt all secrets again, or make a new one of COURSE. They are encrypted for all keys in pillar/secrets/keys/.

    WHAT is proxy-token, sync-token, cookie-secret, ssh-key or deploy-key-REPOSITORY.
    """
    from runner.verbs import secrets as verb

    if course is None:
        document = verb.encrypt_again(project(), Steps().say)
        emit(document, as_json, verb.anew_lines(document))
        return
    if what is None:
        raise CoursehubError(
            f"say what to make new: {', '.join(verb.ROTATED)}; or no course, to encrypt everything for the "
            "teachers' keys",
            exit_code=USAGE,
        )
    document = verb.rotate(project(), course, what, Steps())
    emit(document, as_json, [f"{course}: new {what}; {document['disturbs']}"])


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
