#!/usr/bin/python3 -I
"""passwd for who works in a session that may not gain rights (NoNewPrivileges), such as a terminal of the hub.

There the real passwd cannot become root. This one asks the same questions and hands the answers to
coursehub-passwd.socket, whose other end is root's.
"""

import getpass
import os
import socket
import sys
import time

SOCKET = "/run/coursehub-passwd.sock"
REAL = "/usr/bin/passwd"
# Seconds until the other end has room.
PATIENCE = 20


def answer(question: str) -> str:
    """Return one answer, unseen at a terminal, else the next line of what is piped in."""
    return getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def connect(line: socket.socket) -> None:
    """Connect, also where many wait. Raises OSError."""
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
    """Ask, hand over, tell; exit as passwd did."""
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
