"""Test Kitchen's actions on one instance."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from runner.errors import CoursehubError
from runner.saltssh import results
from tests.kitchen.wrapper import sandbox
from tests.kitchen.wrapper.config import Instance
from tests.kitchen.wrapper.machine import CONVERGED, VERIFIED, Machine, Machines

#: Seconds for one highstate; a fresh hub takes about one minute on two cores.
HIGHSTATE_SECONDS = 900
#: Seconds for a suite's tests.
VERIFY_SECONDS = 600

_PREPARE = """
set -eu
umask 077
mkdir -p {root}
chmod 0700 {root}
rm -rf {root}/srv {root}/etc
tar -C {root} -xf -
cat {root}/thin/code-checksum 2>/dev/null || true
"""

# Unpacked beside and then renamed, so an existing thin is always complete.
_UNPACK = """
set -eu
umask 077
rm -rf {root}/thin.new {root}/thin
mkdir {root}/thin.new
tar -C {root}/thin.new -xzf -
mv {root}/thin.new {root}/thin
"""


@dataclass(frozen=True)
class Kitchen:
    """The root of the file's paths, the machines, and how to converge (``aggregate`` None: as in the file)."""

    root: Path
    machines: Machines
    aggregate: bool | None = None

    def create(self, instance: Instance) -> Machine:
        """Make the instance's machine if it has none."""
        return self.machines.create(instance)

    def converge(self, instance: Instance) -> tuple[results.Report, results.Report]:
        """Run the highstate twice, masterless, with the machine's own copy of states and pillar.

        Raises CoursehubError that names the first state that failed, or that changed something the second time.
        """
        machine = self._created(instance)
        self._ship(instance, machine)
        if instance.provisioner.init_environment:
            self.machines.run(instance, instance.provisioner.init_environment, seconds=HIGHSTATE_SECONDS)
        first = self._highstate(instance)
        second = self._highstate(instance)
        if second.changed:
            state = second.changed[0]
            names = ", ".join(state.name for state in second.changed)
            raise CoursehubError(
                f"{instance.name}: the second highstate changed {names}: {state.sls} said {state.comment[:200]!r} "
                f"{str(state.changes)[:300]}; a state must see what it did already"
            )
        self.machines.note(instance, machine, CONVERGED)
        return first, second

    def _created(self, instance: Instance) -> Machine:
        machine = self.machines.find(instance)
        if machine is None:
            raise CoursehubError(f"{instance.name} has no machine; run 'create {instance.name}' first")
        return machine

    def _ship(self, instance: Instance, machine: Machine) -> None:
        root = instance.provisioner.root_path
        pillars = self.machines.pillars(machine)
        with sandbox.temporary() as directory:
            sandbox.build(instance, self.root, Path(directory), pillars, self.aggregate)
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
                for path in sorted(Path(directory).iterdir()):
                    archive.add(path, path.name, filter=_as_root)
        prepare = _PREPARE.format(root=root).replace("-xf -", "-xzf -")
        there = self.machines.run(instance, prepare, data=packed.getvalue()).strip()
        if instance.provisioner.salt_install is False:
            return
        thin = sandbox.thin(self.machines.project.state / "cache")
        if there != (thin / "code-checksum").read_text(encoding="ascii").strip():
            self.machines.run(instance, _UNPACK.format(root=root), data=(thin / "thin.tgz").read_bytes())

    def _highstate(self, instance: Instance) -> results.Report:
        done = self.machines.ask(instance, salt_call(instance), seconds=HIGHSTATE_SECONDS)
        report = results.parse(
            instance.name, done.stdout.decode(), done.stderr.decode(errors="replace"), minion="local"
        )
        if report.failed_count:
            state = (report.failed or tuple(state for state in report.states if state.result is False))[0]
            raise CoursehubError(
                f"{instance.name}: state {state.name} ({state.sls}) failed: {state.reason[:300]} "
                f"({report.failed_count} of {len(report.states)} failed); correct it and converge again"
            )
        return report

    def verify(self, instance: Instance) -> None:
        """Run the suite's own tests on this computer. Raises CoursehubError if they fail."""
        machine = self._created(instance)
        # `python` in the file is the present interpreter, whatever else is installed.
        search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = {**os.environ, **machine.environment(instance), "PATH": search}
        try:
            done = subprocess.run(
                instance.verifier.command, shell=True, cwd=self.root, env=environment, check=False,
                stdin=subprocess.DEVNULL, timeout=VERIFY_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise CoursehubError(f"{instance.name}: its tests took more than {VERIFY_SECONDS} s") from error
        if done.returncode:
            raise CoursehubError(
                f"{instance.name}: its tests failed (see above); log in with {shlex.join(self.machines.argv(instance))}"
            )
        self.machines.note(instance, machine, VERIFIED)

    def destroy(self, instance: Instance) -> bool:
        """Delete the instance's machine; return whether there was one."""
        return self.machines.destroy(instance)


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def salt_call(instance: Instance) -> str:
    """The highstate's shell command (``salt_command`` in kitchen-salt), with a machine-readable report."""
    provisioner = instance.provisioner
    root = provisioner.root_path
    call = provisioner.salt_call_command if provisioner.salt_install is False else f"python3 {root}/thin/salt-call"
    command = [
        call,
        "--local",
        f"--config-dir={root}/etc/salt",
        "--out=json",
        "--no-color",
        "--log-level=quiet",
        "--retcode-passthrough",
        *([f"--id={provisioner.salt_minion_id}"] if provisioner.salt_minion_id else []),
        "state.highstate",
    ]
    before = f"{provisioner.pre_salt_command} && " if provisioner.pre_salt_command else ""
    return f"cd / && {before}{' '.join(command)}"
