"""``python -m tests.kitchen.wrapper VERB [INSTANCE]``: the verbs of ``kitchen``, with the same file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import click

from runner.errors import FAILED, USAGE, CoursehubError
from runner.project import Project
from tests.kitchen.wrapper import config
from tests.kitchen.wrapper.actions import Kitchen
from tests.kitchen.wrapper.config import Instance
from tests.kitchen.wrapper.machine import Machines

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Order:
    """Options that all verbs share."""

    kitchen: Kitchen
    instances: tuple[Instance, ...]
    host: str | None
    key: Path | None
    known_hosts: Path
    stay: bool

    def chosen(self, wanted: str | None) -> list[Instance]:
        """The instances of a verb; with ``--host`` exactly one."""
        found = config.choose(self.instances, wanted)
        if self.host and len(found) != 1:
            raise CoursehubError("--host is one machine, so say which instance; 'list' shows them", exit_code=USAGE)
        if self.host and self.key is None:
            raise CoursehubError("--host needs --key, the private key that opens it", exit_code=USAGE)
        return [self._at_host(instance) for instance in found] if self.host else found

    def _at_host(self, instance: Instance) -> Instance:
        user = (self.host or "").rpartition("@")[0]
        transport = instance.transport.model_copy(update={"username": user} if user else {})
        return replace(instance, transport=transport)

    def create(self, instance: Instance) -> None:
        """A machine of the local cloud, or the host of ``--host``."""
        if self.host and self.key:
            self.kitchen.machines.adopt(instance, self.host.rpartition("@")[2], self.key, self.known_hosts)
        else:
            self.kitchen.create(instance)


def say(text: str) -> None:
    """Print a line of progress on standard error; standard output is for results."""
    click.echo(text, err=True)


@contextlib.contextmanager
def step(verb: str, instance: Instance) -> Iterator[None]:
    """Print a step and how long it took."""
    say(f"-----> {verb} <{instance.name}>...")
    began = time.monotonic()
    yield
    say(f"       Finished {verb.lower()} <{instance.name}> ({time.monotonic() - began:.1f} s)")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--file", "file", type=click.Path(path_type=Path), default=ROOT / "tests/kitchen/kitchen.yml",
              help="Another kitchen.yml.")  # fmt: skip
@click.option("--state", type=click.Path(path_type=Path),
              help="Where machines are remembered; each state directory has a local cloud of its own.")  # fmt: skip
@click.option("--host", help="Use this machine (root@192.0.2.1) instead of the local cloud.")
@click.option("--key", type=click.Path(path_type=Path, exists=True), help="Private key for --host.")
@click.option("--known-hosts", type=click.Path(path_type=Path), default=Path.home() / ".ssh/known_hosts",
              show_default=False, help="Where the host key of --host is known.")  # fmt: skip
@click.option("--aggregate/--no-aggregate", default=None,
              help="Join package installations of a highstate, or not; without: as the file says.")  # fmt: skip
@click.option("--stay", is_flag=True, help="Leave the local cloud running when its last machine is gone.")
@click.pass_context
def cli(
    context: click.Context,
    file: Path,
    state: Path | None,
    host: str | None,
    key: Path | None,
    known_hosts: Path,
    aggregate: bool | None,
    stay: bool,
) -> None:
    """Make, converge (twice) and ask the machines of tests/kitchen/kitchen.yml. INSTANCE: a name or a pattern."""
    instances = config.load(file.resolve(), ROOT)
    where = state or Project(ROOT).state / "kitchen"
    machines = Machines(where.resolve(), lambda text: say(f"       {text}"))
    if not host:
        label = f"{crc32(str(where.resolve()).encode()):08x}"
        instances = tuple(one if machines.is_own(one) else one.below(label) for one in instances)
    kitchen = Kitchen(ROOT, machines, aggregate)
    context.obj = Order(kitchen, instances, host, key, known_hosts, stay)


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """A verb on INSTANCE."""
    argument = click.argument("instance", required=False)
    return cli.command()(argument(click.pass_obj(function)))


@cli.command("list")
@click.argument("instance", required=False)
@click.pass_obj
def list_(order: Order, instance: str | None) -> None:
    """Show the instances and how far each has come."""
    click.echo(f"{'Instance':<26}{'Suite':<14}{'Platform':<12}{'Last Action'}")
    for one in config.choose(order.instances, instance):
        machine = order.kitchen.machines.find(one)
        click.echo(f"{one.name:<26}{one.suite:<14}{one.platform:<12}{machine.last_action if machine else '-'}")


@verb
def create(order: Order, instance: str | None) -> None:
    """Make the machines."""
    for one in order.chosen(instance):
        _create(order, one)


@verb
def converge(order: Order, instance: str | None) -> None:
    """Run the highstate twice; the second must change nothing."""
    for one in order.chosen(instance):
        _converge(order, one)


@verb
def verify(order: Order, instance: str | None) -> None:
    """Run the suite's tests."""
    for one in order.chosen(instance):
        if order.kitchen.machines.find(one) is None:
            _converge(order, one)
        with step("Verifying", one):
            order.kitchen.verify(one)


@verb
def destroy(order: Order, instance: str | None) -> None:
    """Delete the machines."""
    for one in order.chosen(instance):
        _destroy(order, one)
    _close(order)


@cli.command()
@click.argument("instance", required=False)
@click.option("-d", "--destroy", "ending", type=click.Choice(["passing", "always", "never"]), default="passing",
              show_default=True, help="When to delete the machine afterwards.")  # fmt: skip
@click.pass_obj
def test(order: Order, instance: str | None, ending: str) -> None:
    """Destroy, create, converge, verify, destroy."""
    for one in order.chosen(instance):
        passed = False
        try:
            _destroy(order, one)
            _converge(order, one)
            with step("Verifying", one):
                order.kitchen.verify(one)
            passed = True
        finally:
            if ending == "always" or (ending == "passing" and passed):
                _destroy(order, one)
    _close(order)


def _create(order: Order, instance: Instance) -> None:
    with step("Creating", instance):
        order.create(instance)


def _converge(order: Order, instance: Instance) -> None:
    if order.kitchen.machines.find(instance) is None:
        _create(order, instance)
    with step("Converging", instance):
        first, second = order.kitchen.converge(instance)
        say(f"       {len(first.states)} states, {len(first.changed)} changed; then {len(second.changed)}")


def _destroy(order: Order, instance: Instance) -> None:
    if order.kitchen.machines.find(instance) is not None:
        with step("Destroying", instance):
            order.kitchen.destroy(instance)
    else:
        order.kitchen.destroy(instance)


def _close(order: Order) -> None:
    if not order.host and not order.stay:
        order.kitchen.machines.close()


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; turn any error into one line and an exit code."""
    try:
        answer: Any = cli.main(arguments, standalone_mode=False, prog_name="kitchen")
    except CoursehubError as error:
        say(f"kitchen: {error}")
        return error.exit_code
    except click.ClickException as error:
        say(f"kitchen: {error.format_message()} (see --help)")
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        say("kitchen: interrupted; 'destroy' removes what is left")
        return FAILED
    return answer if isinstance(answer, int) else 0


if __name__ == "__main__":
    sys.exit(main())
