"""Weak passwords, blocking others from changing theirs, and the locks of the account files."""

from __future__ import annotations

import secrets
import time

import pytest

from runner.people.passwords import Password
from tests.support.attackers import Person
from tests.support.hub import Hub


def _passwd(person: Person, old: str, new: str, again: str | None = None) -> str:
    """The output of ``passwd`` in the person's terminal, with its exit code on the last line."""
    typed = "".join(f"{line}\\n" for line in (old, new, new if again is None else again))
    return person.shell(f"printf '{typed}' | passwd; echo exit $?").text


@pytest.mark.parametrize(
    "weak",
    [
        "{account}",
        "{account}1",
        "123456",
        "12345678",
        "password",
        "Password1",
        "aaaaaaaaa",
        "abcdefgh",
        "jupyter1",
        "short",
    ],
)
def test_passwords_weak_ones_are_chosen(alice: Person, weak: str) -> None:
    """Tries: to choose a password that is easy to guess (S10).

    Stopped by: pwquality's rules in change-password (formula accounts), with the reason.
    """
    said = _passwd(alice, alice.password, weak.format(account=alice.account))
    assert said.endswith("exit 1"), said
    assert "choose another password." in said
    assert "Nothing was changed." in said
    assert "error loading" not in said, "the dictionary is missing: every password is refused"
    assert alice.new_client().get("/hub/home").status_code == 200


def test_passwords_first_ones_are_good_enough(hub: Hub) -> None:
    """Tries: nothing; nobody could keep a first password that our own rules refuse.

    Stopped by: (the other way round) all passwords that we generate pass pwquality.
    """
    made = "\n".join(Password.generate().clear for _ in range(300))
    script = (
        "import sys, pwquality; s = pwquality.PWQSettings(); s.read_config()\n"
        "for one in sys.stdin.read().split(): s.check(one, None, 'alovelace')\nprint('good')"
    )
    typed = f"printf '%s' '{made}' > /run/made; /usr/bin/python3 -c \"{script}\" < /run/made; rm /run/made"
    assert hub.run(typed).strip() == "good"


def test_passwords_of_a_stranger_are_changed(mallory: Person, alice: Person) -> None:
    """Tries: to change a password without the old one, and another person's with one's own.

    Stopped by: the kernel reports who asks (SO_PEERCRED), PAM whether the old password is right.
    """
    said = _passwd(mallory, "not-the-right-one-7", "Uphill-7-snails")
    assert "the current password is not right" in said
    assert said.endswith("exit 1")
    raw = mallory.python(
        "import socket\nline = socket.socket(socket.AF_UNIX)\nline.connect('/run/coursehub-passwd.sock')\n"
        f"line.sendall(b'{alice.account}:x\\n' * 3)\nline.shutdown(1)\nprint(line.recv(4096).decode())"
    )
    assert "exit 1" in raw
    assert alice.new_client().get("/hub/home").status_code == 200


HOLD = """
import socket, time
held, refused = [], 0
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    line = socket.socket(socket.AF_UNIX)
    line.setblocking(False)
    try:
        line.connect('/run/coursehub-passwd.sock')
        held.append(line)
    except OSError:
        refused += 1
        time.sleep(0.01)
    if len(held) > 200:
        for one in held[:100]:
            one.close()
        del held[:100]
print('held', len(held))
"""


@pytest.mark.disturbs
def test_passwords_of_others_are_kept_shut_by_connections(mallory: Person, alice: Person) -> None:
    """Tries: to hold hundreds of connections, so that nobody else can change a password (S14).

    Stopped by: one connection per person, with 10 s for its three lines; the others are refused at once.
    """
    mallory.shell(
        f"cat > /tmp/hold.py <<'END'\n{HOLD.format(seconds=40)}\nEND\n(python3 /tmp/hold.py >/tmp/held 2>&1 &)"
    )
    time.sleep(2)
    # No two neighbours of the alphabet: the server refuses a password with five such pairs.
    chosen = "Uphill-" + "".join(secrets.choice("acegikmoqsuwy") for _ in range(8))
    began = time.monotonic()
    try:
        said = _passwd(alice, alice.password, chosen)
        assert said.endswith("exit 0"), said
        assert time.monotonic() - began < 15
    finally:
        back = _passwd(alice, chosen, alice.password)
        mallory.shell("pkill -f hold.py; true")
    assert back.endswith("exit 0"), back


def test_passwords_lock_is_held_by_a_stopped_process(hub: Hub, mallory: Person) -> None:
    """Tries: to stop one's own passwd while it holds the locks of the account files, so that `apply` fails (S6).

    Stopped by: no program that takes them runs as the student; change-password and chpasswd run as root.
    """
    said = mallory.python(
        "import subprocess, time, signal, os\n"
        f"typed = '{mallory.password}\\nUphill-7-snails\\nUphill-7-other\\n'.encode()\n"
        "one = subprocess.Popen(['passwd'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)\n"
        "one.stdin.write(typed); one.stdin.close()\n"
        "time.sleep(0.3); os.kill(one.pid, signal.SIGSTOP)\n"
        "print('stopped')"
    )
    assert said.startswith("stopped")
    began = time.monotonic()
    hub.run(f"usermod --comment '' {mallory.account} && usermod --comment x {mallory.account}")
    assert time.monotonic() - began < 10
    mallory.python("import subprocess; subprocess.run(['pkill', '-KILL', 'passwd'])")


@pytest.mark.parametrize(
    "program", ["passwd", "chsh", "chfn", "gpasswd", "newgrp", "su", "mount", "chage", "crontab", "at"]
)
def test_passwords_by_programs_that_become_root(hub: Hub, program: str) -> None:
    """Tries: to use a program that becomes root for its user.

    Stopped by: these programs have permanently lost that bit (dpkg-statoverride, formula accounts).
    """
    found = hub.run(f"stat -c '%a %U:%G' /usr/bin/{program} 2>/dev/null || echo none").strip()
    assert found in ("755 root:root", "none")
