"""``coursehub keys``: saves and restores what only this computer has."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from runner.cli.base import as_json_option, cli, emit, project
from runner.errors import USAGE, CoursehubError

_passphrase_option = click.option(
    "--passphrase-file", metavar="PATH", help="Read the passphrase from a file or /dev/fd/N; '-' is standard input."
)


@cli.group()
def keys() -> None:
    """Save what only this computer has, and restore it on another."""


@keys.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@_passphrase_option
@as_json_option
def backup(file: Path, passphrase_file: str | None, as_json: bool) -> None:
    """Write keys, passwords and secrets to FILE, encrypted. Writes a sheet to print next to it."""
    from runner.verbs import keys as verb

    typed = _given(passphrase_file) if passphrase_file else _ask_new()
    document = verb.backup(project(), file, typed)
    emit(document, as_json, verb.backup_lines(document))


@keys.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--replace", is_flag=True, help="Replace files that differ; the old ones are kept in .coursehub/replaced-TIME."
)
@_passphrase_option
@as_json_option
def restore(file: Path, replace: bool, passphrase_file: str | None, as_json: bool) -> None:
    """Restore the content of FILE. Without --replace, nothing is changed if files here differ."""
    from runner.verbs import keys as verb

    typed = _given(passphrase_file) if passphrase_file else _ask("Passphrase (not shown)")
    document = verb.restore(project(), file, typed, replace=replace)
    emit(document, as_json, verb.restore_lines(document))


def _given(path: str) -> str:
    """The first line of the file. Raises CoursehubError (2) if it is empty."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CoursehubError(
            f"{path} cannot be read: {getattr(error, 'strerror', '') or 'it is no text'}; give the file that has the "
            "passphrase",
            exit_code=USAGE,
        ) from error
    found = text.split("\n", 1)[0].rstrip("\r")
    if not found:
        raise CoursehubError(f"{path} has no passphrase in its first line; write it there", exit_code=USAGE)
    return found


def _ask(question: str, *, default: str | None = None, confirm: bool = False) -> str:
    if not sys.stdin.isatty():
        raise CoursehubError(
            "the passphrase can be typed only at a terminal; use --passphrase-file here", exit_code=USAGE
        )
    return str(
        click.prompt(
            question, default=default, hide_input=True, show_default=False, confirmation_prompt=confirm, err=True
        )
    )


def _ask_new() -> str:
    return _ask("A passphrase for the file (not shown; press Enter to get a generated one)", default="", confirm=True)
