"""The main program: it runs one verb and turns every error into one line and an exit code.

Exit codes: 0 done, 1 it failed, 2 the command line or the pillar is wrong.
"""

from __future__ import annotations

import importlib
import itertools
import json
import pkgutil
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from runner.cli.base import Document, Running, cli, project
from runner.console import fail
from runner.errors import FAILED, USAGE, CoursehubError
from runner.files import write_private

__all__ = ["cli", "main"]

# Each module in this directory adds its verbs to ``cli``, so a new verb needs no line here.
for _module in pkgutil.iter_modules([str(Path(__file__).parent)]):
    importlib.import_module(f"{__package__}.{_module.name}")


def main() -> None:
    """Run one verb. Turn any exception into one line, an exit code and, with --json, a document."""
    running = Running()
    try:
        cli.main(standalone_mode=False, obj=running, prog_name="coursehub")
    except CoursehubError as error:
        _end(running, str(error), error.exit_code, error.document)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.format_message(), err=True)
        sys.exit(USAGE)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "coursehub"
        _end(running, f"{error.format_message().rstrip('.')}; '{where} --help' shows how", USAGE)
    except click.ClickException as error:
        _end(running, error.format_message(), USAGE)
    except (click.Abort, KeyboardInterrupt):
        _end(running, "interrupted; run the same command again, and it continues", FAILED)
    except OSError as error:
        what = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
        _end(running, f"{what}; fix that and run the same command again", FAILED)
    except Exception as error:
        # The traceback goes to a file: it helps developers, not teachers.
        path = project().state / "error.log"
        write_private(path, traceback.format_exc())
        what = f"{type(error).__name__}: {error}"
        _end(running, f"an error of coursehub's own ({what}); please report it with {project().shown(path)}", FAILED)


def _end(running: Running, message: str, code: int, document: Document | None = None) -> NoReturn:
    fail(message)
    ours = list(itertools.takewhile(lambda argument: argument != "--", sys.argv[1:]))
    if "--json" in ours and not running.printed:
        about = {"course": running.course} if running.course else {}
        click.echo(json.dumps({**about, **(document or {}), "error": " ".join(message.split())}))
    sys.exit(code)
