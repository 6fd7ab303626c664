"""Output of a kernel's subprocesses goes to a socket in the server's own directory, and nothing is left there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.lesson import FILES

pytestmark = pytest.mark.unit

#: A kernel listens and its subprocess prints; then the kernel is killed.
KERNEL = """
import os, signal, sys, types
sys.path.insert(0, sys.argv[1])
from class_kernel import pipe
import zmq
from tornado.ioloop import IOLoop
heard = []
context = zmq.Context()
kernel = types.SimpleNamespace(
    socket=context.socket(zmq.PUB), io_loop=IOLoop(make_current=False), _handle_pipe_msg=heard.append)
pipe.listen(kernel)
assert kernel._pipe_endpoint.startswith(f"ipc://{os.environ['JUPYTER_RUNTIME_DIR']}/pipe-{os.getpid()}-")
_, speaker = pipe.connect(kernel)
speaker.send(b"hello")
kernel.io_loop.call_later(5, kernel.io_loop.stop)
kernel._pipe_in.on_recv(lambda message: (heard.append(message), kernel.io_loop.stop()))
kernel.io_loop.start()
print(heard, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run(course_python: str, runtime: Path) -> None:
    argv = [course_python, "-B", "-c", KERNEL, str(FILES)]
    environment = {"JUPYTER_RUNTIME_DIR": str(runtime)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[[b'hello']]\n", done.stderr


def test_kernel_that_was_killed_leaves_nothing(course_python: str, tmp_path: Path) -> None:
    for _ in range(3):
        run(course_python, tmp_path)
        assert len(list(tmp_path.iterdir())) == 1, "its own; the next kernel takes it away"


def test_kernel_leaves_others_sockets_alone(course_python: str, tmp_path: Path) -> None:
    others = [tmp_path / "pipe-1-0123abcd", tmp_path / "kernel-1.json", tmp_path / "pipe-of-mine"]
    for other in others:
        other.touch()
    run(course_python, tmp_path)
    assert {path.name for path in others} < {path.name for path in tmp_path.iterdir()}
