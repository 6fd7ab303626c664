"""Faults before a highstate: bad input, states that do not render, SSH without an answer, and ``down``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runner.errors import CoursehubError
from runner.files import write_whole
from runner.servers.access import Access
from tests.support.machine import Machine, course, fresh_server, one_line
from tests.support.sandbox import Sandbox
from tests.support.traces import traces_of

pytestmark = [
    pytest.mark.machine,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("held_in_background"),
]


@pytest.fixture(scope="module")
def bare(sandbox: Sandbox) -> Iterator[Machine]:
    """A server after the first contact, never configured."""
    yield fresh_server(sandbox, "bare")
    # Nothing answers there any more.
    sandbox.json("down", "bare", "--yes", "--discard-student-work")


@pytest.mark.parametrize(
    ("old", "new", "says", "code"),
    [
        ("coursehub.test ", "example.edu ", "the local cloud has no DNS zone for", 2),
        ("size: s-4vcpu-8gb", "size: s-4vcpu-9gb", "did you mean s-4vcpu-8gb?", 2),
        ("  upload_limit", "  upload_limt", "did you mean upload_limit?", 2),
        ("packages: [numpy,", "packages: [numpy, astropy,", "coursehub lock", 2),
    ],
    ids=["domain", "size", "key", "lock"],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(
    sandbox: Sandbox, old: str, new: str, says: str, code: int
) -> None:
    name = course(sandbox, "wrong")
    path = sandbox.project.course_file(name)
    good = path.read_text(encoding="utf-8")
    assert old in good
    path.write_text(good.replace(old, new, 1), encoding="utf-8")
    try:
        done = sandbox.run("up", name)
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == code, done.stderr
        assert says in last
        assert f"pillar/courses/{name}.sls:" in last
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        assert sandbox.json("status", "demo")["courses"][0]["state"] in ("active", "none")
        path.write_text(good, encoding="utf-8")
        assert sandbox.json("status", name)["courses"][0]["state"] == "none"
    finally:
        path.unlink()


def test_a_template_that_does_not_render_is_one_line(bare: Machine) -> None:
    formula = bare.sandbox.root / "formulas" / "accounts" / "init.sls"
    good = formula.read_text(encoding="utf-8")
    # Only for this server, and written atomically: the test in the background renders the same formula.
    write_whole(formula, good + "\n{% if grains['id'] == 'bare' %}{{ nothing.at.all }}{% endif %}\n")
    try:
        one_line(bare.sandbox.run("apply", "bare"), "do not render")
    finally:
        write_whole(formula, good)


def test_an_ssh_that_does_not_answer_ends_in_a_line(bare: Machine) -> None:
    """A server without sshd: the verb ends in bounded time with a line that says what to do."""
    access = Access(bare.sandbox.project, "bare")
    bare.run("systemctl mask --now ssh.service ssh.socket >/dev/null 2>&1 &")
    with pytest.raises(CoursehubError, match=r"does not answer after 3 s.*coursehub down bare"):
        while True:
            access.wait_for_ssh(bare.ip, lambda _: None, 3)


def test_down_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No process, namespace, link, nft table, cgroup, mount or hosts entry of a cloud remains after its last server."""
    alone = Sandbox.make(tmp_path_factory.mktemp("alone"))
    state = alone.project.state
    fresh_server(alone, "demo")
    there = traces_of(state)
    assert {"namespaces", "links", "tables", "mounts", "groups", "hosts", "processes", "disks"} <= set(there)
    alone.json("down", "demo", "--yes")
    assert traces_of(state) == {}
    assert alone.json("down", "demo", "--yes")["removed"] == []
    assert alone.run("local", "stop").returncode == 0
    assert traces_of(state) == {}
