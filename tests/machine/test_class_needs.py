"""Normal class work is possible within the restrictions of a student's server, in a kernel and a terminal."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator

import pytest

from runner.hub.client import HubClient
from runner.people.passwords import Passwords
from tests.machine.test_hub import STUDENT
from tests.support.attackers import Person
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

#: What a course that compiles and uses git lists; R's kernel is tested in test_software.py.
APT = "  apt: [gcc, libc6-dev, git]\n"
PRIMES = r"""
#include <math.h>
#include <stdio.h>
int main(void) {
    int found = 0;
    for (int n = 2; n < 1000; n++) {
        int prime = 1;
        for (int d = 2; d <= sqrt(n); d++) if (n % d == 0) prime = 0;
        found += prime;
    }
    printf("%d primes\n", found);
    return 0;
}
"""
#: The array is shared memory, the lock and the queue are semaphores; both start methods.
SHARED = """
import multiprocessing as mp, numpy as np
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=8 * 1000)
numbers = np.ndarray(1000, dtype="i8", buffer=block.buf)
def fill(name, begin, queue):
    mine = shared_memory.SharedMemory(name=name)
    np.ndarray(1000, dtype="i8", buffer=mine.buf)[begin : begin + 500] = 1
    mine.close()
    queue.put(begin)
fork = mp.get_context("fork")
queue = fork.Queue()
workers = [fork.Process(target=fill, args=(block.name, begin, queue)) for begin in (0, 500)]
[one.start() for one in workers]; [one.join() for one in workers]
print(sorted(queue.get() for _ in workers), int(numbers.sum()))
block.close(); block.unlink()
from math import sqrt
with mp.get_context("spawn").Pool(2) as pool:
    print(pool.map(sqrt, [4.0, 9.0]))
"""
PLOT = """
import io, matplotlib.pyplot as plt
plt.plot([1, 4, 9]); plt.title("falling")
image = io.BytesIO(); plt.savefig(image); plt.savefig("/tmp/plot.pdf")
print(image.getvalue()[:4], open("/tmp/plot.pdf", "rb").read(4))
"""


@pytest.fixture(scope="module")
def student(hub12: Hub) -> Iterator[Person]:
    """A student of a course with a compiler and git, whose server is new."""
    path = hub12.sandbox.project.course_file(hub12.course)
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before.rstrip()}\n{APT}", encoding="utf-8")
    try:
        assert hub12.sandbox.json("apply", hub12.course)["courses"][hub12.course]["failed"] == 0
        password = Passwords(hub12.sandbox.project, hub12.course).read()[STUDENT].clear
        person = Person(hub12, STUDENT, password)
        person.restart()
        yield person
        person.stop()
        person.forget()
    finally:
        path.write_text(before, encoding="utf-8")


def ask(client: HubClient, code: str, answer: str, seconds: float = 60) -> tuple[str, str]:
    """Run code that calls ``input()`` and answer like a notebook; return the question and the output."""
    with contextlib.ExitStack() as stack:
        kernel = stack.enter_context(client.kernel())
        line = stack.enter_context(
            contextlib.closing(client.websocket(f"/user/{client.username}/api/kernels/{kernel.id}/channels"))
        )
        line.settimeout(seconds)
        session, asked, printed, deadline = uuid.uuid4().hex, "", "", time.monotonic() + seconds

        def send(channel: str, kind: str, content: dict[str, object], parent: dict[str, object]) -> str:
            number = uuid.uuid4().hex
            header = {"msg_id": number, "msg_type": kind, "username": "", "session": session, "version": "5.3"}
            message = {"header": {**header, "date": ""}, "parent_header": parent, "metadata": {}, "buffers": []}
            line.send(json.dumps({**message, "channel": channel, "content": content}))
            return number

        number = send("shell", "execute_request", {"code": code, "silent": False, "allow_stdin": True}, {})
        while time.monotonic() < deadline:
            message = json.loads(line.recv())
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != number:
                continue
            if kind == "input_request":
                asked = content["prompt"]
                send("stdin", "input_reply", {"value": answer}, message["header"])
            printed += content["text"] if kind == "stream" else ""
            if kind == "status" and content["execution_state"] == "idle":
                return asked, printed.strip()
    pytest.fail(f"not ended within {seconds:.0f} s; asked {asked!r}, printed {printed!r}")


def test_a_program_in_c_is_compiled_and_runs(student: Person) -> None:
    said = student.shell(
        f"mkdir -p ~/c && cd ~/c && cat > primes.c <<'END'\n{PRIMES}\nEND\n"
        "gcc -Wall -O2 -g primes.c -o primes -lm && ./primes; cd; rm -r ~/c"
    )
    assert said.text == "168 primes"


def test_a_notebook_asks_by_input(student: Person) -> None:
    code = "name = input('Your name? '); print('Hello', name)"
    assert ask(student.serve(), code, "Ada") == ("Your name? ", "Hello Ada")


def test_matplotlib_draws_pictures_and_pdf(student: Person) -> None:
    assert student.python(PLOT) == r"b'\x89PNG' b'%PDF'"


def test_processes_share_memory(student: Person) -> None:
    assert student.python(SHARED).splitlines() == ["[0, 500] 1000", "[2.0, 3.0]"]


def test_git_clones_and_commits(student: Person) -> None:
    """The student's own repositories, with a hook that runs."""
    said = student.shell("""
        set -e
        cd "$(mktemp -d -p ~)"; here=$PWD
        git init -q --bare -b main lab.git
        git clone -q lab.git lab 2> /dev/null; cd lab
        git config user.name Ada; git config user.email ada@example.edu
        echo 'print(42)' > lab.py; git add lab.py
        printf '#!/bin/sh\\necho checked\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
        git commit -q -m 'first' 2>&1; git push -q origin HEAD
        cd ..; git clone -q lab.git other; cat other/lab.py; git --no-pager -C other log --format=%an,%s
        cd; rm -rf "$here"
    """)
    assert said.text.splitlines() == ["checked", "print(42)", "Ada,first"]
