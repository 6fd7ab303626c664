"""Where what a kernel's subprocesses print comes back to it: a Unix socket instead of a port on loopback.

The kernel opens the port for every student who never forks; all accounts of the server could send to it.
"""

import os
from typing import Any

import zmq
from ipykernel.iostream import IOPubThread
from zmq.eventloop.zmqstream import ZMQStream


def keep_off_the_network() -> None:
    """Have kernels of this process listen for their subprocesses at a socket in their own, private /tmp."""
    IOPubThread._setup_pipe_in = listen
    IOPubThread._setup_pipe_out = connect


def listen(thread: Any) -> None:
    """Stand in for ``IOPubThread._setup_pipe_in``."""
    thread._pipe_uuid = os.urandom(16)
    pipe = thread.socket.context.socket(zmq.PULL)
    pipe.linger = 0
    # libzmq makes a directory for it that is the account's alone, and takes it away.
    pipe.bind("ipc://*")
    thread._pipe_endpoint = pipe.getsockopt_string(zmq.LAST_ENDPOINT)
    thread._pipe_in = ZMQStream(pipe, thread.io_loop)
    thread._pipe_in.on_recv(thread._handle_pipe_msg)


def connect(thread: Any) -> tuple[Any, Any]:
    """Stand in for ``IOPubThread._setup_pipe_out``, in a subprocess."""
    context = zmq.Context()
    pipe = context.socket(zmq.PUSH)
    # Milliseconds that the last words of a subprocess that ends may take.
    pipe.linger = 3000
    pipe.connect(thread._pipe_endpoint)
    return context, pipe
