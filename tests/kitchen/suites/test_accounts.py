"""The class's accounts, by what one can do to another."""

from __future__ import annotations

import pytest
from testinfra.host import Host

PASSWORD = "change-me"
#: Whether PAM accepts the password on standard input for kstudent; the service of change-password.
ASK = (
    "import pam, sys; sys.exit(not pam.pam().authenticate('kstudent', sys.stdin.readline().rstrip(), "
    "service='coursehub-passwd'))"
)


def as_student(host: Host, account: str, command: str) -> int:
    return host.run("runuser -u %s -- sh -c %s", account, command).rc


def groups(host: Host, account: str) -> set[str]:
    return set(host.check_output("id -nG %s", account).split())


def test_a_students_home_is_unreadable_to_another(host: Host) -> None:
    host.check_output(
        "runuser -u kstudent -- sh -c 'echo answer > /home/kstudent/lab1.txt; chmod 0644 /home/kstudent/lab1.txt'"
    )
    assert as_student(host, "kstudent", "cat /home/kstudent/lab1.txt") == 0
    for attempt in ("ls /home/kstudent", "cat /home/kstudent/lab1.txt", "touch /home/kstudent/mine"):
        assert as_student(host, "kother", attempt) != 0, attempt


@pytest.mark.parametrize(("account", "wanted", "unwanted"), [
    ("kprofessor", "instructors", "students"), ("kstudent", "students", "instructors"), ("kother", "students", "sudo"),
])  # fmt: skip
def test_groups_are_those_of_pillar(host: Host, account: str, wanted: str, unwanted: str) -> None:
    assert wanted in groups(host, account)
    assert unwanted not in groups(host, account)


def password_is(host: Host, password: str) -> bool:
    """Asks PAM, as the hub does when a student signs in."""
    return host.run("printf '%%s\\n' %s | /usr/bin/python3 -I -c %s", password, ASK).rc == 0


def test_the_password_is_the_one_of_pillar(host: Host) -> None:
    assert password_is(host, PASSWORD)
    assert not password_is(host, "another")


def test_who_left_gets_in_no_more(host: Host) -> None:
    """The account does not exist, or PAM refuses it: expired and without a password."""
    shadow = host.run("getent shadow kleft")
    if shadow.rc == 0:
        fields = shadow.stdout.split(":")
        assert fields[1].startswith(("!", "*"))
        assert fields[7] == "1"


def test_students_are_in_no_group_with_power(host: Host) -> None:
    for account in ("kstudent", "kother"):
        assert groups(host, account) & {"sudo", "adm", "disk", "shadow", "docker", "root"} == set()


def test_a_session_that_may_not_gain_rights_changes_its_password(host: Host) -> None:
    """As in a hub's terminal: the real passwd fails there, ours asks for the old password and changes it."""
    confined = "printf '%%s\\n' %s %s %s | setpriv --no-new-privs --reuid %s --regid %s --init-groups %s"
    uid, gid = (host.check_output("id %s kstudent", option) for option in ("-u", "-g"))

    def change(old: str, new: str, program: str = "passwd") -> int:
        return host.run(confined, old, new, new, uid, gid, program).rc

    assert change(PASSWORD, "Uphill-7-snails", "/usr/bin/passwd") != 0
    assert change("not the password", "Uphill-7-snails") != 0
    assert change(PASSWORD, "kstudent-1") != 0
    assert change(PASSWORD, "password1") != 0
    assert password_is(host, PASSWORD)
    assert change(PASSWORD, "Uphill-7-snails") == 0
    assert password_is(host, "Uphill-7-snails")
    assert change("Uphill-7-snails", "Downhill-8-hares") == 0
    host.check_output("printf 'kstudent:%%s\\n' %s | chpasswd", PASSWORD)
    assert password_is(host, PASSWORD)


def test_a_teams_directory_is_the_teams_alone(host: Host) -> None:
    assert as_student(host, "kstudent", "echo ours > /srv/class/groups/red/plan.txt") == 0
    for account in ("kother", "kprofessor"):
        for attempt in (
            "ls /srv/class/groups/red",
            "cat /srv/class/groups/red/plan.txt",
            "touch /srv/class/groups/red/mine",
        ):
            assert as_student(host, account, attempt) != 0, attempt
    assert as_student(host, "kother", "ls /srv/class/groups/blue") == 0


def test_what_a_professor_shares_students_read(host: Host) -> None:
    notes = "/srv/class/shared/notes.txt"
    assert as_student(host, "kprofessor", f"umask 0077; echo notes > {notes}") == 0
    assert as_student(host, "kstudent", f"grep -q notes {notes}") == 0
    for attempt in (f"echo mine >> {notes}", "touch /srv/class/shared/mine", f"rm -f {notes}"):
        assert as_student(host, "kstudent", attempt) != 0, attempt
