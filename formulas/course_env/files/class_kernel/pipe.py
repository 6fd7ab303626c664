"""Where what a kernel's subprocesses print comes back to it: a Unix socket instead of a port on loopback.

The kernel opens the port for every student who never forks; all accounts of the server could send to it.
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

#: A Unix socket's path has 107 bytes; what is added to the directory ("/tmpXXXXXX/socket" by libzmq) has up to 32.
_LONGEST_DIRECTORY = 107 - 32
#: Then the kernel's process id, and something by chance.
_NAME = "pipe-"


def keep_off_the_network() -> None:
    """Have kernels of this process listen for their subprocesses at a socket in the temporary directory."""
    IOPubThread._setup_pipe_in = listen
    IOPubThread._setup_pipe_out = connect


def listen(thread: Any) -> None:
    """Stand in for ``IOPubThread._setup_pipe_in``."""
    thread._pipe_uuid = os.urandom(16)
    pipe = thread.socket.context.socket(zmq.PULL)
    pipe.linger = 0
    runtime = os.environ.get("JUPYTER_RUNTIME_DIR", "")
    if runtime and len(os.fsencode(runtime)) <= _LONGEST_DIRECTORY:
        # The account's alone, and goes with the server.
        sweep(Path(runtime))
        pipe.bind(f"ipc://{runtime}/{_NAME}{os.getpid()}-{os.urandom(4).hex()}")
    else:
        # libzmq makes a directory for it that is the account's alone, and takes it away.
        with _sockets_in(_temporary_directory()):
            pipe.bind("ipc://*")
    thread._pipe_endpoint = pipe.getsockopt_string(zmq.LAST_ENDPOINT)
    thread._pipe_in = ZMQStream(pipe, thread.io_loop)
    thread._pipe_in.on_recv(thread._handle_pipe_msg)


def sweep(runtime: Path) -> None:
    """Remove the sockets of kernels that were killed, which could not do it themselves."""
    for left in runtime.glob(f"{_NAME}*"):
        number = left.name.removeprefix(_NAME).partition("-")[0]
        if number.isdigit() and not Path("/proc", number).exists():
            left.unlink(missing_ok=True)


def connect(thread: Any) -> tuple[Any, Any]:
    """Stand in for ``IOPubThread._setup_pipe_out``, in a subprocess."""
    context = zmq.Context()
    pipe = context.socket(zmq.PUSH)
    # Milliseconds that the last words of a subprocess that ends may take.
    pipe.linger = 3000
    pipe.connect(thread._pipe_endpoint)
    return context, pipe


def _temporary_directory() -> str:
    found = tempfile.gettempdir()
    return found if len(os.fsencode(found)) <= _LONGEST_DIRECTORY else "/tmp"  # noqa: S108 - libzmq calls mkdtemp there


@contextmanager
def _sockets_in(directory: str) -> Iterator[None]:
    """Have libzmq make the directories of its sockets here.

    Without TMPDIR it makes them in the working directory, by a relative name: it cannot where the notebook's folder is
    read-only, and a subprocess that went to another folder does not find the socket.
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
