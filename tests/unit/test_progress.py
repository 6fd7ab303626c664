"""What a person reads during a highstate, from Salt's real log lines and low state."""

from __future__ import annotations

import io
import json
import subprocess

import pytest
from rich.console import Console

from runner.console import Steps
from runner.saltssh.progress import SHIPPED_STATES, Story
from runner.verbs.changes import diff

pytestmark = pytest.mark.unit

LOW_STATE = [
    {"state": "pkg", "fun": "installed", "__id__": "base-packages", "name": "base-packages", "pkgs": ["a"]},
    {
        "state": "cmd",
        "fun": "run",
        "__id__": "nginx-reload",
        "name": "systemctl daemon-reload &&\n  systemctl reload x",
    },
    {"state": "file", "fun": "managed", "__id__": "units", "name": "/etc/systemd/system/jupyterhub.service"},
    {"state": "cmd", "fun": "run", "__id__": "/srv/jupyterhub/proxy.env", "name": "umask 077; openssl rand [64]"},
    {"state": "service", "fun": "running", "__id__": "nginx", "name": "nginx"},
    {"state": "file", "fun": "managed", "__id__": "nginx", "name": "nginx"},
]


def shipped() -> str:
    """The line that the server's own shell and Python make of a low state."""
    return subprocess.run(
        ["/bin/sh", "-c", SHIPPED_STATES], input=json.dumps(LOW_STATE), capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Running state [base-packages] at time 12:00:00.123456\n", "Debian packages base-packages"),
        # Of a name with several lines, only the log's first line arrives.
        ("Running state [systemctl daemon-reload &&\n", "nginx reload"),
        (
            "Running state [/etc/systemd/system/jupyterhub.service] at time 12:00:00.1\n",
            "file /etc/systemd/system/jupyterhub.service",
        ),
        ("Running state [umask 077; openssl rand [64]] at time 12:00:00.1\n", "/srv/jupyterhub/proxy.env"),
        # An unknown state, such as a later Salt might add, is shown as the log has it.
        ("Running state [something else] at time 12:00:00.1\n", "something else"),
    ],
)
def test_state_is_shown_by_its_purpose(line: str, says: str) -> None:
    story = Story()
    assert story.read(shipped()) is None
    assert story.total == len(LOW_STATE)
    assert story.read(line) == says
    assert story.count == 1


def test_two_states_with_one_name_are_shown_in_turn() -> None:
    story = Story()
    story.read(shipped())
    line = "Running state [nginx] at time 12:00:00.1\n"
    assert [story.read(line) for _ in range(3)] == ["service nginx", "file nginx", "file nginx"]
    assert story.count == 3


def test_other_lines_are_nothing() -> None:
    story = Story()
    for line in ("Completed state [nginx] at time 12:00:00.1 (duration_in_ms=1)\n", "\n"):
        assert story.read(line) is None
    assert (story.count, story.total) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"pid": 250, "retcode": 0, "stdout": "", "stderr": ""}, ""),
        ({"pid": 250, "retcode": 0, "stdout": "reloaded", "stderr": ""}, "stdout: reloaded"),
        ({"diff": "-a\n+b"}, "-a\n+b"),
        ({"mode": {"old": "0644", "new": "0600"}, "group": {"old": "", "new": "adm"}}, "mode: 0644 -> 0600\n"
         "group: (nothing) -> adm"),
    ],
)  # fmt: skip
def test_a_change_is_what_a_person_wants_to_know_of_it(changes: dict[str, object], shown: str) -> None:
    assert diff(changes) == shown


def test_repeated_line_is_printed_once() -> None:
    console = Console(file=io.StringIO(), width=80)
    listen = Steps(console).hear()
    for line in ("droplet 7 is off", "droplet 7 is off", "waiting for SSH", "droplet 7 is off"):
        listen(line)
    assert console.file.getvalue() == "droplet 7 is off\nwaiting for SSH\ndroplet 7 is off\n"  # type: ignore[attr-defined]
