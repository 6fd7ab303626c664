"""The verbs. Results go to standard output, everything else to standard error.

Exit codes: 0 done, 1 it failed, 2 the command line or the pillar is wrong.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from runner import course as courses
from runner.cli import audit, course_file
from runner.cli import local as local_cloud
from runner.cli import roster as people
from runner.cli import secrets as cli_secrets
from runner.cli.lines import change_lines, check_lines, status_lines
from runner.console import Steps, fail
from runner.errors import FAILED, USAGE, CoursehubError
from runner.project import Project, write_private
from runner.servers import birthplace

Document = dict[str, Any]


@dataclass
class _Said:
    """What is known of the verb when it fails: which course, and whether its document is printed already."""

    course: str | None = None
    printed: bool = False


def _said() -> _Said:
    return click.get_current_context().find_root().ensure_object(_Said)


def _note_course(_context: click.Context, _parameter: click.Parameter, course: str | None) -> str | None:
    _said().course = course
    return course


as_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
course_argument = click.argument("course", callback=_note_course)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """One pillar file per course (pillar/courses/COURSE.sls) becomes a JupyterHub for the class."""


def _emit(document: Document, as_json: bool, lines: Callable[[Document], list[str]]) -> None:
    if as_json:
        click.echo(json.dumps(document))
        _said().printed = True
    else:
        for line in lines(document):
            click.echo(line)


def _project() -> Project:
    return Project.here()


@cli.command()
@course_argument
@click.option("--yes", is_flag=True, help="Do not ask before something is made that costs money.")
@as_json_option
def up(course: str, yes: bool, as_json: bool) -> None:
    """Make the course's server and everything on it. Goes on where an earlier run was interrupted."""
    from runner.verbs import up as verb

    project = _project()
    with _shown(as_json, lambda done: check_lines(done.get("checks", ())) + verb.notes(done)):
        document = verb.up(project, course, Steps(), _agree_to_cost(course, yes))
    _emit(document, as_json, lambda done: check_lines(done["checks"]) + verb.explain(done, project))


def _agree_to_cost(course: str, yes: bool) -> Callable[[str], None]:
    """What ``up`` asks before it makes something that costs money, with what it is and costs in one line."""

    def agree(what: str) -> None:
        click.echo(what, err=True)
        if yes:
            return
        if not sys.stdin.isatty():
            raise CoursehubError(f"up costs money; say 'coursehub up {course} --yes'", exit_code=USAGE)
        if not click.confirm("Make it?", default=False, err=True):
            raise CoursehubError("not confirmed; nothing was made")

    return agree


@contextlib.contextmanager
def _shown(as_json: bool, lines: Callable[[Document], list[str]]) -> Iterator[None]:
    """Print what a verb that failed got done; of a JSON document that is the end's part (``_end``)."""
    try:
        yield
    except CoursehubError as failure:
        if not as_json:
            _emit(failure.document, as_json, lines)
        raise


def _chosen(project: Project, course_ids: tuple[str, ...], every: bool) -> list[str]:
    if every == bool(course_ids):
        raise CoursehubError("say which courses, or --all", exit_code=USAGE)
    return list(course_ids) if course_ids else courses.course_ids(project)


def _converge(course_ids: tuple[str, ...], every: bool, as_json: bool, test: bool) -> None:
    from runner.verbs import converge

    project = _project()
    with _shown(as_json, lambda done: change_lines(done, test)):
        document = converge.apply(project, _chosen(project, course_ids, every), Steps(), test=test, every=every)
    _emit(document, as_json, lambda done: change_lines(done, test))


@cli.command()
@click.argument("courses", nargs=-1, metavar="[COURSE...]")
@click.option("--all", "every", is_flag=True, help="All courses.")
@as_json_option
def apply(courses: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Bring the servers to what the course files say."""
    _converge(courses, every, as_json, test=False)


@cli.command()
@click.argument("courses", nargs=-1, metavar="[COURSE...]")
@click.option("--all", "every", is_flag=True, help="All courses.")
@as_json_option
def plan(courses: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Show what apply would change, as a diff. Nothing on the servers is touched."""
    _converge(courses, every, as_json, test=True)


@cli.command()
@course_argument
@as_json_option
def check(course: str, as_json: bool) -> None:
    """Look at the hub from outside as a student would. Name, certificate, sign-in, server, kernel."""
    from runner.verbs import look

    def lines(done: Document) -> list[str]:
        return check_lines(done.get("checks", ()))

    with _shown(as_json, lines):
        document = look.check(_project(), course, Steps())
    _emit(document, as_json, lines)


@cli.command()
@click.argument("course", required=False, callback=_note_course)
@as_json_option
def doctor(course: str | None, as_json: bool) -> None:
    """Look before the first dollar. Each line about tools, token, size, domain is ok, or says what to do."""
    from runner.verbs import doctor as verb

    def lines(done: Document) -> list[str]:
        return check_lines(done.get("checks", ()))

    with _shown(as_json, lines):
        document = verb.doctor(_project(), course, Steps())
    _emit(document, as_json, lines)


@cli.command()
@click.argument("courses", nargs=-1, metavar="[COURSE...]")
@as_json_option
def status(courses: tuple[str, ...], as_json: bool) -> None:
    """Show each course's server."""
    from runner import course as known
    from runner.verbs import look

    def lines(done: Document) -> list[str]:
        return status_lines(done)

    project = _project()
    with _shown(as_json, lines):
        document = look.status(project, list(courses) or known.course_ids(project))
    _emit(document, as_json, lines)


@cli.command(context_settings={"ignore_unknown_options": True})
@course_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@as_json_option
def ssh(course: str, command: tuple[str, ...], as_json: bool) -> None:
    """Open a root shell on the server, or run COMMAND there."""
    from runner.verbs import shell

    document = shell.ssh(_project(), course, list(command), as_json=as_json)
    _emit(document, as_json, lambda _: [])
    sys.exit(document["exit"])


@cli.command()
@course_argument
@click.option("-n", "--lines", default=100, show_default=True, help="How many lines back.")
@click.option("-f", "--follow", is_flag=True, help="Go on as new lines come.")
@click.option("--openings", is_flag=True, help="Who opened whose work instead: files, downloads and servers.")
@as_json_option
def logs(course: str, lines: int, follow: bool, openings: bool, as_json: bool) -> None:
    """Show the journal of hub, proxy and nginx, or who looked into whose work."""
    from runner.verbs import shell

    show = shell.openings if openings else shell.logs
    document = show(_project(), course, lines=lines, follow=follow, as_json=as_json)
    _emit(document, as_json, _opening_lines if openings else lambda done: list(done["lines"]))


def _opening_lines(document: Document) -> list[str]:
    rows = [[one["when"], one["who"], one["whose"], one["what"]] for one in document["openings"]]
    return [f"{when}  {who:<16} {whose:<16} {what}" for when, who, whose, what in rows] or [
        "nobody opened any work yet"
    ]


@cli.command()
@course_argument
@click.option("--yes", is_flag=True, help="Do not ask: the server and the students' files on it are deleted.")
@as_json_option
def down(course: str, yes: bool, as_json: bool) -> None:
    """Delete the server with all files on it. Its DNS records and its keys go too."""
    from runner import session
    from runner.verbs import up as verb

    project = _project()
    if not yes and not session.nothing_here(project, course, birthplace.load(project, course)):
        _confirm(course)
    document = verb.down(project, course, Steps())
    _emit(
        document,
        as_json,
        lambda done: [
            f"{course}: {'server, DNS records and keys deleted' if done['removed'] else 'nothing was there'}"
        ],
    )


def _confirm(course: str) -> None:
    question = f"This deletes the server of {course} with all students' files on it. Type {course} to go on"
    if not sys.stdin.isatty():
        raise CoursehubError(
            f"down deletes students' files for good; say 'coursehub down {course} --yes'", exit_code=USAGE
        )
    if click.prompt(question, default="", show_default=False, err=True) != course:
        raise CoursehubError("not confirmed; nothing was deleted")


@cli.command()
@click.argument("course", required=False, callback=_note_course)
@click.option("--all", "every", is_flag=True, help="Every lock of the repository: servers', this computer's, courses'.")
@click.option("--upgrade", is_flag=True, help="Take the newest versions that fit, not the locked ones where they fit.")
@as_json_option
def lock(course: str | None, every: bool, upgrade: bool, as_json: bool) -> None:
    """Pin the course's packages anew. The lock is written below pillar/files/locks/, to be committed."""
    from runner.verbs import locking

    if every == bool(course):
        raise CoursehubError("say which course, or --all", exit_code=USAGE)
    if course is None:
        document = locking.lock_all(_project(), Steps(), upgrade=upgrade)
        nothing = ["no version changed; commit the new dates"]
        _emit(document, as_json, lambda done: [f"{path}: changed; commit it" for path in done["changed"]] or nothing)
        return
    document = locking.lock(_project(), course, Steps(), upgrade=upgrade)
    _emit(document, as_json, lambda done: [f"{done['lock']}: {done['packages']} packages; commit it"])


cli.add_command(local_cloud.group(lambda: _project().state), "local")
course_file.add_to(cli, _project)
audit.add_to(cli, _project)
people.add_to(cli, _project)
cli_secrets.add_to(cli, _project)


@cli.command()
@course_argument
@as_json_option
def signin(course: str, as_json: bool) -> None:
    """Show what to type into Google's, GitHub's, Microsoft's, your college's or your LMS's form."""
    from runner.verbs import signin as verb

    _emit(verb.show(_project(), course), as_json, verb.explain)


@cli.command()
@course_argument
@as_json_option
def material(course: str, as_json: bool) -> None:
    """Show the links for the LMS and the deploy keys. A key that is missing is made."""
    from runner.verbs import material as verb

    _emit(verb.show(_project(), course, Steps().say), as_json, verb.explain)


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests. [lint|render|unit|kitchen|machine|browser ...] [pytest options]; all without a name."""
    from runner.verbs import testing

    sys.exit(testing.test(_project(), list(arguments)))


def main() -> None:
    """Run one verb and turn whatever ends it into one line, an exit code and, with --json, a document."""
    said = _Said()
    try:
        cli.main(standalone_mode=False, obj=said, prog_name="coursehub")
    except CoursehubError as error:
        _end(said, str(error), error.exit_code, error.document)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.format_message(), err=True)
        sys.exit(USAGE)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "coursehub"
        _end(said, f"{error.format_message().rstrip('.')}; '{where} --help' shows how", USAGE)
    except click.ClickException as error:
        _end(said, error.format_message(), USAGE)
    except (click.Abort, KeyboardInterrupt):
        _end(said, "interrupted; run the same command again and it goes on where it was", FAILED)
    except OSError as error:
        what = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
        _end(said, f"{what}; mend that and run the same command again", FAILED)
    except Exception as error:
        # Where it happened helps whoever mends it, and nobody else.
        path = _project().state / "error.log"
        write_private(path, traceback.format_exc())
        what = f"{type(error).__name__}: {error}"
        _end(said, f"an error of coursehub's own ({what}); please report it with {_project().shown(path)}", FAILED)


def _end(said: _Said, message: str, code: int, document: Document | None = None) -> NoReturn:
    fail(message)
    ours = list(itertools.takewhile(lambda argument: argument != "--", sys.argv[1:]))
    if "--json" in ours and not said.printed:
        about = {"course": said.course} if said.course else {}
        click.echo(json.dumps({**about, **(document or {}), "error": " ".join(message.split())}))
    sys.exit(code)
