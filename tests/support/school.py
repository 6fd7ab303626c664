"""A course on "DigitalOcean" with a server whose sshd runs in namespaces of this host."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests.adapters

from runner.people.passwords import Passwords
from runner.project import Project
from runner.servers.access import Access
from runner.session import CHECK_ACCOUNT
from tests.support.authority import Authority
from tests.support.computer import Computers
from tests.support.local_api import TOKEN, Api, served
from tests.support.programs import unmeasured
from tests.support.projects import phys
from tests.support.stand_in_hub import Hub
from tests.support.typed import Ended, typed

REPO = Path(__file__).resolve().parents[2]
STATES = """
/srv/title:
  file.managed:
    - contents: first
    - mode: '0644'

unit-note:
  test.configurable_test_state:
    - changes: False
    - result: True
    - warnings: remember the class at nine
"""


@dataclass
class School:
    """A working copy with one course on "DigitalOcean", and its account."""

    project: Project
    api: Api
    machines: Computers
    hub: Hub
    authority: Authority

    @property
    def ip(self) -> str:
        server = Access(self.project, "phys").server()
        assert server
        assert server.ip
        return server.ip

    @property
    def droplet(self) -> int:
        (number,) = self.machines.on
        return number

    def states(self, text: str) -> None:
        (self.project.root / "salt" / "unit.sls").write_text(text)


def _working_copy(root: Path) -> Project:
    made = phys(root, "formulas", "salt/config", "salt/_returners")
    shutil.copy(REPO / "Saltfile", root)
    config = root / "salt/config/master"
    # The master configuration enables only the state modules that our states use; these states use one more.
    config.write_text(config.read_text(encoding="utf-8").replace(" test,", ""), encoding="utf-8")
    course = root / "pillar/courses/phys.sls"
    course.write_text(course.read_text().replace("debian-13-x64", "debian-12-x64"), encoding="utf-8")
    (root / "salt/top.sls").write_text("base:\n  '*':\n    - unit\n")
    return made


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """One server for the module: salt-ssh's first contact takes longer than everything else."""
    directory = tmp_path_factory.mktemp("school")
    project = _working_copy(directory / "root")
    authority = Authority(directory)
    with (
        pytest.MonkeyPatch.context() as patched,
        Computers.on(directory) as machines,
        served(directory, machines) as api,
    ):
        # The verbs run in this process. Measuring salt-ssh would take half as long again, and all of its code is
        # Salt's.
        unmeasured(patched)
        patched.setenv("COURSEHUB_ROOT", str(project.root))
        patched.setenv("DIGITALOCEAN_END_POINT", f"{api.url}/v2/")
        patched.setenv("DIGITALOCEAN_ACCESS_TOKEN", TOKEN)
        # Make the system trust the test's authority, for each way in which programs find authorities.
        patched.setenv("SSL_CERT_FILE", str(authority.bundle))
        patched.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(authority.bundle))
        password = Passwords(project, "phys").ensure([CHECK_ACCOUNT])[CHECK_ACCOUNT].clear
        made = School(project, api, machines, Hub(password=password, https_port=443, http_port=80), authority)
        made.states(STATES)
        yield made


Coursehub = Callable[..., Ended]


@pytest.fixture
def coursehub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Coursehub:
    """A verb as typed."""

    def run(*arguments: str) -> Ended:
        return typed(monkeypatch, capsys, *arguments)

    return run


@pytest.fixture
def up(school: School, coursehub: Coursehub) -> School:
    """The course's server, made once."""
    if not school.machines.on:
        coursehub("up", "phys", "--yes")
    school.states(STATES)
    return school
