"""A kernel receives the output of its subprocesses through a Unix socket instead of a port on loopback.

ipykernel opens the port in every kernel, even if it never forks, and every account on the server could send to it.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
from ipykernel.iostream import IOPubThread
from zmq.eventloop.zmqstream import ZMQStream

#: A Unix socket's path has at most 107 bytes; the part below the directory (libzmq: "/tmpXXXXXX/socket") at most 32.
_LONGEST_DIRECTORY = 107 - 32
#: Followed by the kernel's process id and random characters.
_NAME = "pipe-"


def keep_off_the_network() -> None:
    """Make kernels of this process listen for their subprocesses on a Unix socket."""
    IOPubThread._setup_pipe_in = listen
    IOPubThread._setup_pipe_out = connect


def listen(thread: Any) -> None:
    """Replace ``IOPubThread._setup_pipe_in``."""
    thread._pipe_uuid = os.urandom(16)
    pipe = thread.socket.context.socket(zmq.PULL)
    pipe.linger = 0
    runtime = os.environ.get("JUPYTER_RUNTIME_DIR", "")
    if runtime and len(os.fsencode(runtime)) <= _LONGEST_DIRECTORY:
        # This directory belongs to the account and is removed with the server.
        sweep(Path(runtime))
        pipe.bind(f"ipc://{runtime}/{_NAME}{os.getpid()}-{os.urandom(4).hex()}")
    else:
        # libzmq makes a directory that only the account can enter, and removes it later.
        with _sockets_in(_temporary_directory()):
            pipe.bind("ipc://*")
    thread._pipe_endpoint = pipe.getsockopt_string(zmq.LAST_ENDPOINT)
    thread._pipe_in = ZMQStream(pipe, thread.io_loop)
    thread._pipe_in.on_recv(thread._handle_pipe_msg)


def sweep(runtime: Path) -> None:
    """Remove the sockets of killed kernels, which could not do it themselves."""
    for left in runtime.glob(f"{_NAME}*"):
        number = left.name.removeprefix(_NAME).partition("-")[0]
        if number.isdigit() and not Path("/proc", number).exists():
            left.unlink(missing_ok=True)


def connect(thread: Any) -> tuple[Any, Any]:
    """Replace ``IOPubThread._setup_pipe_out``, in a subprocess."""
    context = zmq.Context()
    pipe = context.socket(zmq.PUSH)
    # Milliseconds for the last output of a subprocess that ends.
    pipe.linger = 3000
    pipe.connect(thread._pipe_endpoint)
    return context, pipe


def _temporary_directory() -> str:
    found = tempfile.gettempdir()
    return found if len(os.fsencode(found)) <= _LONGEST_DIRECTORY else "/tmp"  # noqa: S108 - libzmq calls mkdtemp there


@contextmanager
def _sockets_in(directory: str) -> Iterator[None]:
    """Make libzmq put the directories of its sockets into ``directory``.

    Without TMPDIR it uses the working directory, with a relative name. This fails if the notebook's folder is
    read-only, and a subprocess that changed to another folder does not find the socket.
    """
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = directory
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
