"""``coursehub roster``, ``secrets`` and ``passwords``: what is known of people, and what nobody else may know."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.people import ROLES, Role
from runner.project import Project

Document = dict[str, Any]

_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
_yes = click.option("--yes", is_flag=True, help="Do not ask before writing.")
_course = click.argument("course")
_role = click.Choice(ROLES)
#: What a change is shown by: who comes, comes back, changes roles, goes.
_MARKS = {"comes": "+", "returns": "+", "moves": "~", "goes": "-"}


def add_to(cli: click.Group, project: Callable[[], Project]) -> None:
    """Add the verbs; ``project`` is asked for when one of them runs."""
    cli.add_command(_roster(project))
    cli.add_command(_secrets(project))
    cli.add_command(_passwords(project))


def _emit(document: Document, as_json: bool, lines: list[str]) -> None:
    for line in [json.dumps(document)] if as_json else lines:
        click.echo(line)


def _roster(project: Callable[[], Project]) -> click.Group:
    @click.group()
    def roster() -> None:
        """Keep the class list, encrypted: import it from the LMS, show it, add and remove people."""

    @roster.command("import")
    @_course
    @click.argument("file", type=click.Path(path_type=Path))
    @click.option("--role", type=_role, help="What everybody in the file is; without it what the file says.")
    @click.option("--add", "only_add", is_flag=True, help="Nobody goes: the file has only newcomers.")
    @click.option("--dry-run", is_flag=True, help="Show who would come and go; write nothing.")
    @_yes
    @_as_json
    def import_(
        course: str, file: Path, *, role: Role | None, only_add: bool, dry_run: bool, yes: bool, as_json: bool
    ) -> None:
        """Bring the class list to an exported FILE: Brightspace, Canvas, Moodle, Blackboard, CSV or Excel."""
        from runner.verbs import roster as verb

        agree = _agree(as_json, yes=yes, dry_run=dry_run)
        document = verb.import_(project(), course, file, agree, role=role, only_add=only_add)
        _changed(document, as_json)

    @roster.command()
    @_course
    @click.argument("role", type=_role)
    @_yes
    @_as_json
    def add(course: str, role: Role, yes: bool, as_json: bool) -> None:
        """Add one person: asks for the name and for the email address or login."""
        from runner.verbs import roster as verb

        # Not options: a name on the command line stands in the shell's history and the process list.
        _changed(verb.add(project(), course, _agree(as_json, yes=yes), role=role, ask=_answer), as_json)

    @roster.command()
    @_course
    @click.argument("account")
    @_yes
    @_as_json
    def remove(course: str, account: str, yes: bool, as_json: bool) -> None:
        """Take one person out: the next apply locks the account; the files stay."""
        from runner.verbs import roster as verb

        _changed(verb.remove(project(), course, account, _agree(as_json, yes=yes)), as_json)

    @roster.command()
    @_course
    @_as_json
    def encrypt(course: str, as_json: bool) -> None:
        """Move the people who stand in the course's own file into its encrypted class list."""
        from runner.verbs import roster as verb

        document = verb.encrypt(project(), course)
        lines = [
            f"{course}: {_people(document['moved'])} moved from {document['file']} to {document['list']}; commit both. "
            "What git kept before stays in its history"
        ]
        _emit(document, as_json, lines if document["moved"] else [f"{course}: its people are encrypted already"])

    @roster.command()
    @_course
    @_as_json
    def show(course: str, as_json: bool) -> None:
        """Show everybody with role and account."""
        from runner.verbs import roster as verb

        document = verb.show(project(), course)
        _emit(document, as_json, [_person_line(" ", person) for person in document["people"]])

    return roster


def _person_line(mark: str, person: Document) -> str:
    known_by = person.get("email") or person.get("login") or person.get("number") or ""
    teams = f"  [{', '.join(person['groups'])}]" if person.get("groups") else ""
    return f"{mark} {person['role'][:-1]:<10} {person['account']:<32} {person['name']}  {known_by}{teams}".rstrip()


def _change_lines(document: Document) -> list[str]:
    lines = [f"  note: {note}" for note in document.get("notes", ())]
    lines += [_person_line(mark, one) for kind, mark in _MARKS.items() for one in document[kind]]
    counts = ", ".join(
        f"{many} {one if many == 1 else more}" for kind, (one, more) in _WORDS.items() if (many := len(document[kind]))
    )
    source = f"{_people(document['read'])} in {document['system']}'s list: " if "system" in document else ""
    stays = f"{document['stays']} {'stays' if document['stays'] == 1 else 'stay'}"
    return [*lines, f"{document['course']}: {source}{counts or 'nobody comes or goes'}; {stays}"]


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


#: Of one person, and of more.
_WORDS = {
    "comes": ("comes", "come"),
    "returns": ("comes back", "come back"),
    "moves": ("changes roles", "change roles"),
    "goes": ("goes", "go"),
}


def _agree(as_json: bool, *, yes: bool, dry_run: bool = False) -> Callable[[Document], bool]:
    """Shows a change and asks, where there is somebody to ask."""

    def agree(document: Document) -> bool:
        if not as_json:
            for line in _change_lines(document):
                click.echo(line)
        if yes or dry_run:
            return yes and not dry_run
        if as_json or not sys.stdin.isatty():
            raise CoursehubError("nothing was written; say --yes to write it, or --dry-run to look", exit_code=USAGE)
        return click.confirm("Write this?", err=True)

    return agree


def _changed(document: Document, as_json: bool) -> None:
    course = document["course"]
    if document["written"]:
        lines = [f"{course}: written; commit pillar/secrets/, then 'coursehub apply {course}'"]
    elif any(document[kind] for kind in _MARKS):
        lines = [f"{course}: nothing was written"]
    else:
        lines = _change_lines(document)
    _emit(document, as_json, lines)


def _answer(question: str) -> str:
    """One answer: typed, or a line of what is piped in."""
    if sys.stdin.isatty():
        return str(click.prompt(question, err=True))
    line = sys.stdin.readline()
    if not line.strip():
        raise CoursehubError(f"{question}: nothing was given; type it, or pipe in a line", exit_code=USAGE)
    return line.strip()


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


def _passwords(project: Callable[[], Project]) -> click.Command:
    @click.command()
    @_course
    @click.option("--csv", "as_csv", is_flag=True, help="A table instead of a page to print.")
    @click.option("--reset", metavar="ACCOUNT", help="Make a new password for one person.")
    @_as_json
    def passwords(course: str, as_csv: bool, reset: str | None, as_json: bool) -> None:
        """Write a sheet of first passwords to print and cut, below .coursehub; or reset one."""
        from runner.verbs import passwords as verb

        if reset is not None:
            try:
                document = verb.reset(project(), course, reset, Steps())
            except CoursehubError as failure:
                if failure.document and not as_json:
                    _emit(failure.document, as_json, verb.reset_lines(failure.document))
                raise
            _emit(document, as_json, verb.reset_lines(document))
            return
        document = verb.sheet(project(), course, as_csv=as_csv)
        _emit(
            document,
            as_json,
            [f"{course}: {document['people']} first passwords in {document['file']}; hand them out and delete it"],
        )

    return passwords


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
