"""The connection that follows a highstate: no answer, a refusal, and a broken connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import CoursehubError
from runner.project import Project
from runner.saltssh.tail import watched
from runner.servers.access import Access
from tests.support.root import eventually

pytestmark = pytest.mark.unit

REFUSED = "echo 'ssh: connect to host 192.0.2.1 port 22: Connection refused' >&2; exit 255"
DENIED = "echo 'root@192.0.2.1: Permission denied (publickey).' >&2; exit 255"
READY = "echo busy; echo ready; echo 'Running state [first] at time 1'; cat > /dev/null"


@pytest.fixture
def access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Access:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Access(Project(tmp_path), "demo")


def answers(directory: Path, *scripts: str) -> None:
    """An ssh that does one of these at each call, and the last one for ever."""
    calls = directory / "calls"
    cases = "".join(f"{number}) {script} ;;\n" for number, script in enumerate(scripts[:-1]))
    program = directory / "ssh"
    program.write_text(
        f"#!/bin/sh\nn=$(cat {calls} 2>/dev/null || echo 0)\necho $((n + 1)) > {calls}\n"
        f"case $n in\n{cases}*) {scripts[-1]} ;;\nesac\n"
    )
    program.chmod(0o755)


def test_a_server_that_boots_is_waited_for(access: Access, tmp_path: Path) -> None:
    answers(tmp_path, REFUSED, REFUSED, "exit 0", READY)
    said: list[tuple[int, int, str]] = []
    with watched(access, "192.0.2.1", lambda *now: said.append(now)):
        pass
    assert (tmp_path / "calls").read_text() == "4\n"
    assert said[:2] == [
        (0, 0, "waiting for SSH on 192.0.2.1"),
        (0, 0, "waiting for an earlier run to end on the server"),
    ]
    assert said[2:] in ([], [(1, 0, "first")])


def test_a_refusal_is_an_answer(access: Access, tmp_path: Path) -> None:
    answers(tmp_path, DENIED)
    with pytest.raises(CoursehubError, match=r"Permission denied"), watched(access, "192.0.2.1", lambda *_: None):
        pytest.fail("it was let in")
    assert (tmp_path / "calls").read_text() == "1\n"


def test_connection_breaks_while_waiting_for_an_earlier_run(access: Access, tmp_path: Path) -> None:
    answers(tmp_path, "echo busy; echo 'Timeout, server 192.0.2.1 not responding.' >&2; exit 255")
    with pytest.raises(CoursehubError, match="not responding"), watched(access, "192.0.2.1", lambda *_: None):
        pytest.fail("it was let in")


def test_a_connection_that_breaks_under_the_highstate_is_known(access: Access, tmp_path: Path) -> None:
    breaks = tmp_path / "breaks"
    answers(tmp_path, f"echo ready; while [ ! -e {breaks} ]; do sleep 0.05; done")
    with watched(access, "192.0.2.1", lambda *_: None) as tail:
        assert not tail.broke()
        breaks.touch()
        assert eventually(tail.broke)
