#!/usr/bin/python3 -I
"""Change passwords for people whose sessions may not gain rights. ``passwd`` in such a session connects to this.

The kernel says who asks. PAM checks the old password, pwquality checks the new one, and chpasswd stores it. All of it
runs as root, so nobody can stop it while it holds the locks of the account files. Each person may have one connection,
so nobody can keep others out.
"""

import collections
import pwd
import socket
import struct
import subprocess
import sys
import threading
import time

FIRST_UID = 1000
SERVICE = "coursehub-passwd"
# Seconds for reading the three lines, which the other end sends at once; seconds without work until this program ends.
READING, IDLE = 10, 60
# Three lines; PAM accepts 512 bytes of each.
MAX_BYTES = 3 * 513
# Concurrent connections of one person. More are refused at once.
EACH = 1

_changing = threading.Lock()
_open: collections.Counter[int] = collections.Counter()
_counting = threading.Lock()


class Refused(Exception):
    """Nothing was changed; the message says why."""


def change(account: str, old: str, new: str, again: str) -> None:
    """Change a password. Raises Refused."""
    import pam
    import pwquality

    if not pam.pam().authenticate(account, old, service=SERVICE):
        raise Refused("the current password is not right")
    if new != again:
        raise Refused("you typed two different new passwords")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in new):
        raise Refused("a password is made of letters, digits, spaces and signs")
    settings = pwquality.PWQSettings()
    settings.read_config()
    try:
        settings.check(new, old, account)
    except pwquality.PWQError as problem:
        text = str(problem.args[1] if len(problem.args) > 1 else problem)
        raise Refused(f"choose another password. {text.removeprefix('The password ').capitalize()}") from None
    with _changing:
        done = subprocess.run(
            ["/usr/sbin/chpasswd"], input=f"{account}:{new}\n", capture_output=True, text=True, check=False, timeout=60
        )
    if done.returncode:
        print(f"chpasswd ended with {done.returncode}", file=sys.stderr)
        raise Refused("it cannot be stored now; try again in a minute")


def received(line: socket.socket) -> list[str]:
    """Return the three lines that were sent. Raises Refused."""
    deadline, given = time.monotonic() + READING, b""
    while len(given) <= MAX_BYTES:
        line.settimeout(max(0.001, deadline - time.monotonic()))
        more = line.recv(4096)
        if not more:
            break
        given += more
    lines = given.split(b"\n")
    if len(given) > MAX_BYTES or len(lines) != 4:
        raise Refused("three lines were expected")
    try:
        return [one.decode() for one in lines[:3]]
    except UnicodeDecodeError:
        raise Refused("that is not UTF-8") from None


def serve(line: socket.socket, uid: int) -> None:
    """Answer one connection. What was typed goes into no log."""
    with line:
        try:
            if uid < FIRST_UID:
                raise Refused("root and the system's accounts use the real passwd")
            change(pwd.getpwuid(uid).pw_name, *received(line))
            said, code = "password updated", 0
        except Refused as problem:
            said, code = f"{problem}. Nothing was changed.", 1
        except (OSError, KeyError, subprocess.TimeoutExpired) as problem:
            print(f"change-password: {type(problem).__name__}", file=sys.stderr)
            said, code = "it did not work. Nothing was changed.", 1
        try:
            line.settimeout(READING)
            line.sendall(f"passwd: {said}\nexit {code}\n".encode())
        except OSError:
            # The other end is gone.
            return
        finally:
            with _counting:
                _open[uid] -= 1


def peer(line: socket.socket) -> int:
    """Return the uid of the process at the other end, from the kernel."""
    asked = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", asked)[1]
    return uid


def main(listener: socket.socket) -> None:
    """Serve until there was no work for IDLE seconds; systemd starts this again for the next connection."""
    listener.settimeout(IDLE)
    while True:
        try:
            line, _ = listener.accept()
        except TimeoutError:
            with _counting:
                if not +_open:
                    return
            continue
        uid = peer(line)
        with _counting:
            mine = _open[uid] < EACH
            _open[uid] += mine
        if mine:
            threading.Thread(target=serve, args=(line, uid), daemon=True).start()
        else:
            with line:
                line.setblocking(False)
                try:
                    line.send(b"passwd: you are already changing it elsewhere. Nothing was changed.\nexit 1\n")
                except OSError:
                    continue


if __name__ == "__main__":
    # The first descriptor that systemd passes.
    main(socket.socket(fileno=3))
