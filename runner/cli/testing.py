"""``coursehub test``."""

from __future__ import annotations

import sys

import click

from runner.cli.base import cli, project


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests.

    ARGUMENTS are names of suites (quick, lint, render, unit, kitchen, machine, attacks, browser, data, load), then
    options of pytest. Without a name, all suites but data and load run, without their tests that take long.
    """
    from runner.verbs import testing

    sys.exit(testing.test(project(), list(arguments)))
