"""``coursehub roster``: who is in a course."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runner.cli.base import Document, as_json_option, cli, course_argument, emit, project
from runner.course.roles import ROLES, Role
from runner.errors import USAGE, CoursehubError
from runner.plain import plain

_yes = click.option("--yes", is_flag=True, help="Do not ask before writing.")
_role = click.Choice(ROLES)
#: The marks of a change: who is added, returns, changes roles, or leaves.
_MARKS = {"comes": "+", "returns": "+", "moves": "~", "goes": "-"}
#: Singular and plural.
_WORDS = {
    "comes": ("comes", "come"),
    "returns": ("comes back", "come back"),
    "moves": ("changes roles", "change roles"),
    "goes": ("goes", "go"),
}
_FACTS = {
    "name": "Name",
    "email": "Email address",
    "login": "Login at the college",
    "number": "Number at the college",
    "github": "Login at GitHub",
    "groups": "Teams, separated by commas",
}


@cli.group()
def roster() -> None:
    """Import, show and change the class list. It is encrypted in git."""


@roster.command("import")
@course_argument
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--role", type=_role, help="The role of everybody in FILE; the default is what FILE says, or student.")
@click.option("--add", "only_add", is_flag=True, help="FILE has only new people: remove nobody.")
@click.option("--encoding", help="The encoding of a text file that is not UTF-8, such as cp1250.")
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@_yes
@as_json_option
def import_(
    course: str,
    file: Path,
    *,
    role: Role | None,
    only_add: bool,
    encoding: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Update the class list from an exported file.

    FILE is what Brightspace, Canvas, Moodle or Blackboard exports, or any table as CSV or Excel.

    Shows who joins, leaves and changes, then asks before it writes.
    """
    from runner.verbs import roster as verb

    agree = _agree(as_json, yes=yes, dry_run=dry_run)
    document = verb.import_(project(), course, file, agree, role=role, only_add=only_add, encoding=encoding)
    _changed(document, as_json)


@roster.command()
@course_argument
@click.argument("role", type=_role)
@_yes
@as_json_option
def add(course: str, role: Role, yes: bool, as_json: bool) -> None:
    """Add one person. Asks for the name and for the email address or login."""
    from runner.verbs import roster as verb

    # These are not options: a name on the command line would show in the shell's history and in the process list.
    _changed(verb.add(project(), course, _agree(as_json, yes=yes), role=role, ask=_answer), as_json)


@roster.command()
@course_argument
@click.argument("account")
@click.option("--role", type=_role, help="Change the role too.")
@_yes
@as_json_option
def edit(course: str, account: str, *, role: Role | None, yes: bool, as_json: bool) -> None:
    """Change the facts about one person. The account and the files stay.

    Asks for each fact: Return keeps it, a single - takes it away. Piped in: a line such as "email: a@example.edu"
    for each fact that changes.
    """
    from runner.verbs import roster as verb

    agree = _agree(as_json, yes=yes)
    _changed(verb.edit(project(), course, account, agree, role=role, ask=_facts(role is not None)), as_json)


@roster.command()
@course_argument
@click.argument("account")
@_yes
@as_json_option
def remove(course: str, account: str, yes: bool, as_json: bool) -> None:
    """Remove one person. The next apply locks the account; the files stay."""
    from runner.verbs import roster as verb

    _changed(verb.remove(project(), course, account, _agree(as_json, yes=yes)), as_json)


@roster.command()
@course_argument
@as_json_option
def encrypt(course: str, as_json: bool) -> None:
    """Move people from the course file to the encrypted list."""
    from runner.verbs import roster as verb

    document = verb.encrypt(project(), course)
    lines = [
        f"{course}: {_people(document['moved'])} moved from {document['file']} to {document['list']}; commit both. "
        "What git kept before stays in its history"
    ]
    emit(document, as_json, lines if document["moved"] else [f"{course}: its people are encrypted already"])


@roster.command()
@course_argument
@as_json_option
def show(course: str, as_json: bool) -> None:
    """Show everybody with role and account."""
    from runner.verbs import roster as verb

    document = verb.show(project(), course)
    emit(document, as_json, [_person_line(" ", person) for person in document["people"]])


@roster.command()
@course_argument
@click.argument("file", type=click.Path(path_type=Path), required=False)
@as_json_option
def export(course: str, file: Path | None, as_json: bool) -> None:
    """Write the class list to FILE as CSV. Excel opens it, and 'roster import' reads it.

    Without FILE below .coursehub. The file is in clear: keep it out of git, and delete it after use.
    """
    from runner.verbs import roster as verb

    document = verb.export(project(), course, file)
    line = f"{course}: {_people(document['people'])} in {document['file']}, in clear; delete it after use"
    emit(document, as_json, [line])


def _person_line(mark: str, person: Document) -> str:
    known_by = person.get("email") or person.get("login") or person.get("number") or ""
    teams = f"  [{', '.join(person['groups'])}]" if person.get("groups") else ""
    return f"{mark} {person['role'][:-1]:<10} {person['account']:<32} {person['name']}  {known_by}{teams}".rstrip()


def _change_lines(document: Document) -> list[str]:
    lines = [f"  note: {note}" for note in document.get("notes", ())]
    lines += [_person_line(mark, one) for kind, mark in _MARKS.items() for one in document[kind]]
    lines += [
        f"~ {one['account']:<43} {one['key']}: {one['old'] or '(nothing)'} -> {one['new'] or '(nothing)'}"
        for one in document["changes"]
    ]
    lines += [f"  ? {doubt}" for doubt in document["doubts"]]
    counts = [
        f"{many} {one if many == 1 else more}" for kind, (one, more) in _WORDS.items() if (many := len(document[kind]))
    ]
    if changed := len({one["account"] for one in document["changes"]}):
        counts.append(f"what is known of {changed} changes")
    count = document["read"]
    source = f"{count} {'line' if count == 1 else 'lines'} of {document['system']}: " if "system" in document else ""
    stays = f"{document['stays']} {'stays' if document['stays'] == 1 else 'stay'}"
    return [*lines, f"{document['course']}: {source}{', '.join(counts) or 'nobody comes or goes'}; {stays}"]


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _agree(as_json: bool, *, yes: bool, dry_run: bool = False) -> Callable[[Document], bool]:
    """Show a change and ask for confirmation if somebody is there to answer."""

    def agree(document: Document) -> bool:
        if not as_json:
            for line in _change_lines(document):
                click.echo(plain(line))
        if dry_run:
            return False
        doubts = document["doubts"]
        asks = not (yes or as_json) and sys.stdin.isatty()
        if doubts and not asks:
            more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
            raise CoursehubError(
                f"nothing was written, as a question is open: {doubts[0]}{more}; correct it, or run the same in a "
                "terminal without --yes and answer",
                exit_code=USAGE,
                document=document,
            )
        if yes:
            return True
        if not asks:
            raise CoursehubError("nothing was written; say --yes to write it, or --dry-run to look", exit_code=USAGE)
        question = "Is all of this right, the lines with ? too? Write it?" if doubts else "Write this?"
        return click.confirm(question, err=True)

    return agree


def _changed(document: Document, as_json: bool) -> None:
    course = document["course"]
    if document["written"]:
        lines = [f"{course}: written; commit pillar/secrets/, then 'coursehub apply {course}'"]
    elif document["changes"] or any(document[kind] for kind in _MARKS):
        lines = [f"{course}: nothing was written"]
    else:
        lines = _change_lines(document)
    emit(document, as_json, lines)


def _answer(question: str) -> str:
    """One answer: typed, or one line of the piped input."""
    if sys.stdin.isatty():
        return str(click.prompt(question, err=True))
    line = sys.stdin.readline()
    if not line.strip():
        raise CoursehubError(f"{question}: nothing was given; type it, or pipe in a line", exit_code=USAGE)
    return line.strip()


def _facts(may_be_none: bool) -> Callable[[Document], Document]:
    """Ask for the facts of a known person; return those that were given."""

    def ask(known: Document) -> Document:
        if sys.stdin.isatty():
            asked = {key: _one_fact(question, known.get(key)) for key, question in _FACTS.items()}
            return {key: value for key, value in asked.items() if value is not None}
        given: Document = {}
        for line in sys.stdin:
            key, colon, value = line.partition(":")
            key = key.strip().lower()
            if line.strip() and (not colon or key not in _FACTS):
                raise CoursehubError(f"{key!r} is no fact of a person; there are: {', '.join(_FACTS)}", exit_code=USAGE)
            if line.strip():
                given[key] = "" if value.strip() == "-" else value.strip()
        if not given and not may_be_none:
            raise CoursehubError(
                "nothing was given; run it in a terminal, or pipe in lines such as 'email: a@example.edu'",
                exit_code=USAGE,
            )
        return given

    return ask


def _one_fact(question: str, known: Any) -> str | None:
    shown = ", ".join(known) if isinstance(known, list) else known or ""
    answer = str(click.prompt(question, default=shown, show_default=bool(shown), err=True)).strip()
    return None if answer == shown else "" if answer == "-" else answer
