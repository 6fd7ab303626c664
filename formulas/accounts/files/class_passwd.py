#!/usr/bin/python3 -I
"""passwd for sessions that may not gain rights (NoNewPrivileges), such as a terminal of the hub.

There the real passwd cannot become root. This program asks the same questions and passes the answers to
coursehub-passwd.socket. The service behind it runs as root.
"""

import getpass
import os
import socket
import sys
import time

SOCKET = "/run/coursehub-passwd.sock"
REAL = "/usr/bin/passwd"
# Seconds to wait until the other end accepts the connection.
PATIENCE = 20


def answer(question: str) -> str:
    """Return one answer: typed without echo at a terminal, otherwise the next line of standard input."""
    return getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def connect(line: socket.socket) -> None:
    """Connect; try again while the queue is full. Raises OSError."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            line.connect(SOCKET)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main() -> None:
    """Ask, send the answers, print the result, and exit with its code."""
    if len(sys.argv) > 1 or os.geteuid() == 0:
        os.execv(REAL, [REAL, *sys.argv[1:]])  # noqa: S606  no shell on purpose
    try:
        answers = [answer(question) for question in ("Current password: ", "New password: ", "Retype new password: ")]
    except (EOFError, KeyboardInterrupt):
        sys.exit("\npasswd: nothing was changed")
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(90)
            connect(line)
            line.sendall("".join(f"{one}\n" for one in answers).encode())
            line.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: line.recv(4096), b"")).decode(errors="replace")
    except OSError as error:
        sys.exit(f"passwd: cannot be reached ({error.strerror or error}); try again in a minute")
    text, _, code = said.rpartition("exit ")
    print(text.strip() or "passwd: nothing was changed")
    sys.exit(int(code) if code.strip().isdigit() else 1)


main()
