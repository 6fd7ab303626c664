"""`coursehub local`: the local cloud by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from runner import local


def group(state: Callable[[], Path]) -> click.Group:
    """The commands over the cloud of a state directory, which is asked for when a command runs."""

    @click.group(
        "local", help="The local cloud: servers on this computer. The provider's API, with containers for droplets."
    )
    def commands() -> None:
        pass

    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")

    @commands.command("start", help="Start it, or find it running; boot the servers that should run.")
    @as_json
    def start(as_json: bool) -> None:
        local.ensure_running(state(), _reporter())
        _show(local.status(state()), as_json)

    @commands.command("status", help="What runs, changing nothing.")
    @as_json
    def status(as_json: bool) -> None:
        _show(local.status(state()), as_json)

    @commands.command("stop", help="Delete its servers with all files on them. Nothing of it stays on this computer.")
    @as_json
    def stop(as_json: bool) -> None:
        local.stop(state(), _reporter())
        _show(local.status(state()), as_json)

    return commands


def _reporter() -> local.Report:
    begun = time.monotonic()
    return lambda line: click.echo(f"{time.monotonic() - begun:6.1f} s  {line}", err=True)


def _show(status: local.LocalCloudStatus, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(status)))
        return
    click.echo(f"local cloud: running, {status.endpoint}" if status.running else "local cloud: not running")
    for machine in status.machines:
        click.echo(
            f"{machine.id}  {machine.name}  {machine.status}  {machine.ip}  {'on' if machine.running else 'off'}"
        )
