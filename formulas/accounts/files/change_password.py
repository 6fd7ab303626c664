#!/usr/bin/python3 -I
"""Changes passwords for people whose sessions may not gain rights; the other end of ``passwd`` in such a session.

Who is asking says the kernel. PAM says whether the old password is right, pwquality whether the new one may be, and
chpasswd stores it. All of it runs as root: nobody can stop it while it holds the locks of the account files. One
connection a person, so that nobody can keep the others out.
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
# Seconds for the three lines, which the other end sends at once; and without work until this ends.
READING, IDLE = 10, 60
# Three lines; PAM takes 512 bytes of each.
MAX_BYTES = 3 * 513
# Connections of one person at a time. More are refused at once.
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
        raise Refused("that were not three lines")
    try:
        return [one.decode() for one in lines[:3]]
    except UnicodeDecodeError:
        raise Refused("that is not UTF-8") from None


def serve(line: socket.socket, uid: int) -> None:
    """Answer one connection, and say nothing of what was typed to anybody else."""
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
            # Nobody waits for the answer.
            return
        finally:
            with _counting:
                _open[uid] -= 1


def peer(line: socket.socket) -> int:
    """Return whose process is at the other end, as the kernel says."""
    asked = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", asked)[1]
    return uid


def main(listener: socket.socket) -> None:
    """Serve until nobody has come for a while; systemd starts this again for the next."""
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
                    line.send(b"passwd: you are changing it elsewhere already. Nothing was changed.\nexit 1\n")
                except OSError:
                    continue


if __name__ == "__main__":
    # Systemd's first descriptor.
    main(socket.socket(fileno=3))
