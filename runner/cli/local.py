"""``coursehub local``: verbs on the local cloud."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from runner import local
from runner.cli.base import as_json_option, cli, emit, project


@cli.group("local")
def commands() -> None:
    """Servers on this computer, for trying things out. They make up the local cloud."""


@commands.command("start")
@as_json_option
def start_(as_json: bool) -> None:
    """Start the local cloud and its servers. 'up' does this too."""
    local.ensure_running(project().state, _reporter())
    _show(local.status(project().state), as_json)


@commands.command("status")
@as_json_option
def status_(as_json: bool) -> None:
    """Show what runs. Changes nothing."""
    _show(local.status(project().state), as_json)


@commands.command("stop")
@as_json_option
def stop_(as_json: bool) -> None:
    """Delete all its servers with ALL FILES on them. Nothing of it stays on this computer."""
    local.stop(project().state, _reporter())
    _show(local.status(project().state), as_json)


def _reporter() -> local.Report:
    begun = time.monotonic()
    return lambda line: click.echo(f"{time.monotonic() - begun:6.1f} s  {line}", err=True)


def _show(status: local.LocalCloudStatus, as_json: bool) -> None:
    lines = [f"local cloud: running, {status.endpoint}" if status.running else "local cloud: not running"]
    for machine in status.machines:
        power = "on" if machine.running else "off"
        lines.append(f"{machine.id}  {machine.name}  {machine.status}  {machine.ip}  {power}")
    emit(asdict(status), as_json, lines)
