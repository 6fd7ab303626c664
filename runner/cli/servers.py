"""The verbs on a course's server: from ``up`` to ``down``."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from runner import course as known
from runner.cli.base import (
    Document,
    as_json_option,
    cli,
    course_argument,
    course_or_none,
    courses_argument,
    emit,
    project,
    shown,
)
from runner.cli.lines import change_lines, check_lines, down_lines, status_lines
from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.servers import birthplace


@cli.command()
@course_argument
@click.option("--yes", is_flag=True, help="Do not ask before a server is created that costs money.")
@as_json_option
def up(course: str, yes: bool, as_json: bool) -> None:
    """Create the course's server and everything on it. Continues an interrupted run."""
    from runner.verbs import up as verb

    here = project()
    with shown(as_json, lambda done: check_lines(done.get("checks", ())) + verb.notes(done)):
        document = verb.up(here, course, Steps(), _agree_to_cost(course, yes))
    emit(document, as_json, check_lines(document["checks"]) + verb.explain(document, here))


def _agree_to_cost(course: str, yes: bool) -> Callable[[str], None]:
    """The question that ``up`` asks before it makes something that costs money."""

    def agree(what: str) -> None:
        click.echo(what, err=True)
        if yes:
            return
        if not sys.stdin.isatty():
            raise CoursehubError(f"up costs money; say 'coursehub up {course} --yes'", exit_code=USAGE)
        if not click.confirm("Make it?", default=False, err=True):
            raise CoursehubError("not confirmed; nothing was made")

    return agree


@cli.command()
@courses_argument
@click.option("--all", "every", is_flag=True, help="All courses.")
@as_json_option
def apply(courses: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Change the servers to what the course files say."""
    _converge(courses, every, as_json, test=False)


@cli.command()
@courses_argument
@click.option("--all", "every", is_flag=True, help="All courses.")
@as_json_option
def plan(courses: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Show what apply would change, and whom it affects. Changes nothing."""
    _converge(courses, every, as_json, test=True)


def _converge(course_ids: tuple[str, ...], every: bool, as_json: bool, test: bool) -> None:
    from runner.verbs import converge

    here = project()
    with shown(as_json, lambda done: change_lines(done, test)):
        document = converge.apply(here, _chosen(here, course_ids, every), Steps(), test=test, every=every)
    emit(document, as_json, change_lines(document, test))


def _chosen(here: Project, course_ids: tuple[str, ...], every: bool) -> list[str]:
    if every == bool(course_ids):
        raise CoursehubError("say which courses, or --all", exit_code=USAGE)
    return list(course_ids) if course_ids else known.course_ids(here)


@cli.command()
@course_argument
@as_json_option
def check(course: str, as_json: bool) -> None:
    """Test the hub as a student would use it. Then look at the server from inside. Names each part that fails."""
    from runner.verbs import look

    with shown(as_json, _checked):
        document = look.check(project(), course, Steps())
    emit(document, as_json, _checked(document))


@cli.command()
@course_or_none
@as_json_option
def doctor(course: str | None, as_json: bool) -> None:
    """Check everything that 'up' needs, before it costs anything. Tools, token, size, domain and more."""
    from runner.verbs import doctor as verb

    with shown(as_json, _checked):
        document = verb.doctor(project(), course, Steps())
    emit(document, as_json, _checked(document))


@cli.command()
@as_json_option
def orphans(as_json: bool) -> None:
    """Show what no course here uses at the provider. Servers, firewalls and keys, and what they cost."""
    from runner.verbs import orphans as verb

    document = verb.orphans(project(), Steps())
    emit(document, as_json, verb.lines(document))


@cli.command()
@courses_argument
@as_json_option
def status(courses: tuple[str, ...], as_json: bool) -> None:
    """Show each course's server and what is wrong with it. Changes nothing."""
    from runner.verbs import look

    here = project()
    with shown(as_json, status_lines):
        document = look.status(here, list(courses) or known.course_ids(here))
    emit(document, as_json, status_lines(document))


@cli.command(context_settings={"ignore_unknown_options": True})
@course_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@as_json_option
def ssh(course: str, command: tuple[str, ...], as_json: bool) -> None:
    """Open a root shell on the server, or run COMMAND there."""
    from runner.verbs import shell

    document = shell.ssh(project(), course, list(command), as_json=as_json)
    emit(document, as_json, [])
    sys.exit(document["exit"])


@cli.command()
@course_argument
@click.argument("account", required=False)
@click.option("-n", "--lines", default=100, show_default=True, help="Show the last so many lines.")
@click.option("-f", "--follow", is_flag=True, help="Then show new lines as they come; Ctrl-C ends it.")
@click.option("--openings", is_flag=True, help="Show instead who opened whose files and servers.")
@as_json_option
def logs(course: str, *, account: str | None, lines: int, follow: bool, openings: bool, as_json: bool) -> None:
    """Show the log of the hub, or of one person's server."""
    from runner.verbs import shell

    if account and openings:
        raise CoursehubError("say an account or --openings, not both", exit_code=USAGE)
    if openings:
        document = shell.openings(project(), course, lines=lines, follow=follow, as_json=as_json)
        emit(document, as_json, _opening_lines(document))
    else:
        document = shell.logs(project(), course, account, lines=lines, follow=follow, as_json=as_json)
        emit(document, as_json, document["lines"])


def _checked(document: Document) -> list[str]:
    return check_lines(document.get("checks", ()))


def _opening_lines(document: Document) -> list[str]:
    rows = [[one["when"].replace("T", " "), one["who"], one["whose"], one["what"]] for one in document["openings"]]
    return [f"{when}  {who:<16} {whose:<16} {what}" for when, who, whose, what in rows] or [
        "nobody opened any work yet"
    ]


@cli.command()
@course_argument
@click.option("--yes", is_flag=True, help="Do not ask, although all files of the students are deleted.")
@click.option(
    "--discard-student-work",
    "discard",
    is_flag=True,
    help="Make no last backup and no archive: what is not saved yet is lost.",
)
@as_json_option
def down(course: str, *, yes: bool, discard: bool, as_json: bool) -> None:
    """Delete the server with ALL FILES on it, after saving the work. Its DNS records and keys go too."""
    from runner import session
    from runner.verbs import up as verb

    here = project()
    if not yes and not session.nothing_here(here, course, birthplace.load(here, course)):
        _confirm(course)
    document = verb.down(here, course, Steps(), discard_work=discard)
    emit(document, as_json, down_lines(document))


def _confirm(course: str) -> None:
    question = f"This deletes the server of {course} with all students' files on it. Type {course} to go on"
    if not sys.stdin.isatty():
        raise CoursehubError(
            f"down deletes students' files for good; say 'coursehub down {course} --yes'", exit_code=USAGE
        )
    if click.prompt(question, default="", show_default=False, err=True) != course:
        raise CoursehubError("not confirmed; nothing was deleted")
