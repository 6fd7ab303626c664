"""The wrapper on a machine that it did not make: any host with SSH."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner import local
from runner.project import Project
from tests.kitchen.wrapper.__main__ import ROOT

# The suites run meanwhile.
pytestmark = [
    pytest.mark.kitchen,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("runs"),
]

INSTANCE = "accounts-debian-12"


def wrapper(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.kitchen.wrapper", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@dataclass(frozen=True)
class Theirs:
    """An existing server: its address, its key, a known_hosts with its host key, and who made it."""

    address: str
    key: Path
    known_hosts: Path
    state: Path

    def options(self, state: Path, known_hosts: Path | None = None) -> list[str]:
        """Options to use it as the machine of a wrapper that stores its state in ``state``."""
        words = ["--state", state, "--host", f"root@{self.address}", "--key", self.key]
        return [str(word) for word in (*words, "--known-hosts", known_hosts or self.known_hosts)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    directory = tmp_path_factory.mktemp("hosts")
    state = directory / "theirs"
    try:
        made = wrapper("--state", state, "create", INSTANCE)
        assert made.returncode == 0, made.stderr
        facts = json.loads((Project(state).state / "instances" / f"{INSTANCE}.json").read_text())
        kept = Project(state).state / "servers" / INSTANCE / "known_hosts"
        known_hosts = directory / "known_hosts"
        key = " ".join(kept.read_text().split()[1:3])
        known_hosts.write_text(f"{facts['hostname']} {key}\n")
        yield Theirs(facts["hostname"], Path(facts["ssh_key"]), known_hosts, state)
    finally:
        local.stop(Project(state).state, print)


def test_a_host_is_tested_and_left_there(machine: Theirs, tmp_path: Path) -> None:
    nobody = tmp_path / "empty"
    nobody.touch()
    refused = wrapper(*machine.options(tmp_path / "ours", nobody), "create", INSTANCE)
    assert refused.returncode == 1
    assert "Host key verification failed" in refused.stderr.splitlines()[-1]

    tested = wrapper(*machine.options(tmp_path / "ours"), "test", INSTANCE)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "; then 0" in tested.stderr
    left = wrapper("--state", machine.state, "converge", INSTANCE)
    assert "0 changed; then 0" in left.stderr, left.stderr


def test_state_that_always_changes_is_reported(machine: Theirs, tmp_path: Path) -> None:
    """A state that always changes something shows in the second highstate."""
    (tmp_path / "kitchen.yml").write_text(RESTLESS)
    options = [*machine.options(tmp_path / "ours"), "--file", str(tmp_path / "kitchen.yml")]
    for suite, said in (("restless", "the second highstate changed restless"), ("failing", "state failing (")):
        done = wrapper(*options, "test", f"{suite}-debian-12")
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last.startswith("kitchen: ")
        assert said in last
        assert "Traceback" not in done.stderr


RESTLESS = """
driver: {image: debian-12-x64, region: sfo3}
provisioner:
  pillars: {top.sls: {base: {'*': []}}}
  state_collection: tests/kitchen/states
platforms: [{name: debian-12}]
suites:
  - name: restless
    provisioner: {state_top: {base: {'*': [restless]}}}
  - name: failing
    provisioner: {state_top: {base: {'*': [failing]}}}
"""
