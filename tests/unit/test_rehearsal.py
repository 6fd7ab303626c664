"""A rehearsal's figures, its advice on the size, and how it reads Lab's page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cloud import Size
from runner.errors import USAGE, CoursehubError
from runner.rehearsal import accounts, advice, figures, lab, probe
from runner.rehearsal.student import STEPS, Names, Record
from runner.verbs import rehearse
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit

SIZES = {
    size.slug: size
    for size in (
        Size("small", 24.0, 0.036, ("sfo3",), 4096, 2),
        Size("middle", 48.0, 0.071, ("sfo3",), 8192, 4),
        Size("elsewhere", 60.0, 0.09, ("fra1",), 32768, 8),
        Size("big", 96.0, 0.143, ("sfo3",), 16384, 8),
    )
}


def done(served: int, students: int, *, each: float, cpu: float, slowest: float) -> dict[str, Any]:
    """The parts of a rehearsal's document that the advice reads."""
    return {
        "students": students,
        "served": served,
        "steps": {"first answer": {"count": served, "p50": slowest / 2, "max": slowest}},
        "usage": {
            "parts": {"hub": {"cpu": 5.0}},
            "people": {"server": {"pss": {"count": served}}},
            "pss": each * served,
            "people_cpu": cpu * served,
            "class": {"MemoryMax": 3400 << 20},
        },
    }


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(number) for number in range(20, 0, -1)]
    assert [figures.percentile(values, one) for one in (50, 95, 100)] == [10.0, 19.0, 20.0]
    assert figures.percentile([3.0], 50) == 3.0


def test_document_counts_who_got_through_and_why_not() -> None:
    whole = Record("a", seconds=dict.fromkeys(STEPS, 2.0), requests=5, received=3_000_000)
    early = Record("b", seconds={"sign in": 1.0}, failed_at="server", why="no room")
    found = figures.document([whole, early])
    assert (found["students"], found["served"], found["failures"]) == (2, 1, {"server: no room": 1})
    assert found["steps"]["sign in"] == {"count": 2, "p50": 1.0, "p95": 2.0, "max": 2.0}
    assert found["steps"]["first answer"] == {"count": 1, "p50": 8.0, "p95": 8.0, "max": 8.0}
    assert (found["requests"], found["megabytes"]) == (5, 3.0)


def test_every_name_is_the_hubs_but_a_providers() -> None:
    names = Names("192.0.2.7", {"login.college.edu": "192.0.2.8"})

    async def found(*hosts: str) -> list[str]:
        return [(await names.resolve(host, 443))[0]["host"] for host in hosts]

    assert asyncio.run(found("hub.example.edu", "curie.hub.example.edu")) == ["192.0.2.7", "192.0.2.7"]
    assert asyncio.run(found("login.college.edu")) == ["192.0.2.8"]


def test_advice_names_the_cheapest_size_for_all() -> None:
    """40 students with 150 MB each need 7.8 GB. Their 88 CPU-seconds are no problem for four processors."""
    said = advice.advise(done(22, 40, each=150, cpu=2, slowest=30), SIZES, "small", "sfo3")
    assert said[0] == "Your server holds 22 of 40; take middle, 24 dollars more a month."
    assert said[-1] == "Each one's server and kernel use 150 MB; the memory is enough for 22."


def test_advice_counts_processors_too() -> None:
    said = advice.advise(done(40, 40, each=60, cpu=8, slowest=130), SIZES, "small", "sfo3")
    assert said[0] == "Your server holds all 40."
    assert said[2] == "That is long: take big, 72 dollars more a month."


def test_advice_without_a_big_enough_size_says_so() -> None:
    said = advice.advise(done(50, 200, each=150, cpu=2, slowest=30), SIZES, "small", "sfo3")
    assert said[0].startswith("Your server holds 50 of 200; no size in sfo3 is big enough")


def test_advice_of_a_fast_class_names_no_size() -> None:
    said = advice.advise(done(20, 20, each=100, cpu=2, slowest=9), SIZES, "small", "sfo3")
    assert not [line for line in said if "take" in line]


def test_lab_page_leads_to_its_programs() -> None:
    config = {
        "fullLabextensionsUrl": "/user/ada/lab/extensions",
        "federated_extensions": [{"name": "@some/one", "load": "static/remoteEntry.1a.js"}],
    }
    page = (
        f'<script id="jupyter-config-data" type="application/json">{json.dumps(config)}</script>'
        '<script defer="defer" src="/user/ada/static/lab/main.0011.js?v=0011"></script>'
    )
    main, extension = lab.first_programs(page)
    assert main == "/user/ada/static/lab/main.0011.js?v=0011"
    assert extension == "/user/ada/lab/extensions/@some/one/static/remoteEntry.1a.js"
    with pytest.raises(ValueError, match="not Lab's"):
        lab.first_programs("<html>Sign in</html>")


def test_lab_program_leads_to_its_pieces() -> None:
    end = "0123456789abcdef"
    program = (
        '({5531:"jlab_core"})[e]||e+"."+{' + ",".join(f'{one}:"{end}"' for one in (*range(100, 160), 5531)) + "}[e]"
    )
    found = lab.pieces(program, "/user/ada/static/lab/main.0011.js?v=0011")
    assert found[:2] == [
        f"/user/ada/static/lab/jlab_core.{end}.js?v={end}",
        f"/user/ada/static/lab/100.{end}.js?v={end}",
    ]
    assert len(found) == len(set(found)) == 40


def test_passwords_are_in_no_command_line() -> None:
    """The script is passed on standard input. In it, only chpasswd reads passwords, from its own standard input."""
    crowd = accounts.people(2)
    script = accounts.begin(crowd)
    lines = [line for line in script.splitlines() if any(one.password in line for one in crowd)]
    assert lines == [f"{one.account}:{one.password}" for one in crowd]
    assert all(one.password not in repr(one) for one in crowd)


def test_scripts_are_shell() -> None:
    for script in (accounts.begin(accounts.people(1)), accounts.end(), accounts.AT_WORK):
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_people_without_an_account_leave_the_hub(hub_python: str, tmp_path: Path) -> None:
    """Only people with the prefix who have no account any more are forgotten."""
    database, program = tmp_path / "hub.sqlite", Path(accounts.__file__).with_name("forget.py")
    make = (
        "import sys; from jupyterhub import orm; session = orm.new_session_factory(sys.argv[1])();"
        "session.add_all([orm.User(name=one) for one in ('rehearsal-001', 'rehearsal-002', 'ada')]); session.commit()"
    )
    subprocess.run([hub_python, "-c", make, f"sqlite:///{database}"], check=True)
    found = [
        subprocess.check_output([hub_python, "-I", program, str(database), "rehearsal-", action], text=True).strip()
        for action in ("count", "delete", "count")
    ]
    assert found == ["2", "2", "0"]
    with contextlib.closing(sqlite3.connect(database)) as hub:
        assert hub.execute("select name from users").fetchall() == [("ada",)]


def test_probe_counts_this_very_process() -> None:
    """Megabytes and seconds of an existing process, and zero for one that is gone."""
    here = int(Path("/proc/self").resolve().name)
    assert probe.pss(here) > 5
    assert probe.cpu(here) > 0
    assert probe.kind(here) == "kernel"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert (probe.pss(gone.pid), probe.cpu(gone.pid), probe.kind(gone.pid)) == (0, 0, "gone")


@pytest.mark.parametrize("kind", ["google", "lti13"])
def test_provider_cannot_be_rehearsed_and_what_can_is_said(kind: str) -> None:
    """Nothing on the server is asked before; docs/sign-in.md says what a copy of the course shows."""
    course = SimpleNamespace(signin=SimpleNamespace(kind=kind))
    session: Any = SimpleNamespace(course=course, at=lambda *_: "pillar/courses/phys.sls:9")
    with pytest.raises(CoursehubError, match=rf"sls:9: students of phys sign in by {kind}.*docs/sign-in.md") as refused:
        rehearse._may(session, "phys", "198.51.100.9", disturb=True)
    assert refused.value.exit_code == USAGE
    section = "## A rehearsal with another kind than `password`"
    assert section in (REPO / "docs/sign-in.md").read_text(encoding="utf-8").splitlines()
