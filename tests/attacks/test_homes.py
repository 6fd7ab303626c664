"""A student tries to reach others' files: homes, teams, servers' runtime directories."""

from __future__ import annotations

import pytest

from runner.hub.client import HubFailure
from tests.attacks.conftest import Cast
from tests.support.attackers import Person

SECRET = "what-alice-computed"


def test_home_of_another_is_listed(mallory: Person, alice: Person) -> None:
    """Tries: to list another student's home.

    Stopped by: homes are 0700 (formula accounts).
    """
    assert "PermissionError" in mallory.python(f"import os; print(os.listdir({alice.home!r}))")


def test_open_file_in_a_closed_home(mallory: Person, alice: Person) -> None:
    """Tries: to read and to change a file that its owner made 0666, by its full path.

    Stopped by: nobody else can enter its home (0700).
    """
    assert alice.shell(f"echo {SECRET} > ~/lab.txt; chmod 0666 ~/lab.txt").code == 0
    tried = mallory.shell(f"cat {alice.home}/lab.txt; echo gone > {alice.home}/lab.txt")
    assert tried.text.count("Permission denied") == 2
    assert alice.shell("cat ~/lab.txt").text == SECRET


def test_directory_of_another_team(mallory: Person, alice: Person, cast: Cast) -> None:
    """Tries: to read the files of a team without being a member.

    Stopped by: a team's directory is 2770 and belongs to its group.
    """
    quiet = cast.directory("quiet")
    assert alice.shell(f"echo {SECRET} > {quiet}/plan.txt; chmod 0666 {quiet}/plan.txt").code == 0
    tried = mallory.shell(f"ls {quiet}; cat {quiet}/plan.txt")
    assert tried.text.count("Permission denied") == 2


def test_a_link_in_the_place_of_a_teams_file(mallory: Person, alice: Person, cast: Cast) -> None:
    """Tries: to replace a file in the team's directory by a link, so that a teammate's next save follows it.

    Stopped by: the kernel follows no link there (nosymfollow), so the save fails and nothing else is changed.
    """
    plan = "groups/" + cast.directory("pair").name + "/plan.txt"
    alice.shell(f"echo mine > ~/private.txt; echo ours > ~/{plan}")
    mallory.shell(f"rm -f ~/{plan}; ln -s {alice.home}/private.txt ~/{plan}")
    try:
        body = {"type": "file", "format": "text", "content": "what the attacker wants"}
        with pytest.raises(HubFailure, match="failed"):
            alice.serve().api("PUT", f"/api/contents/{plan}", json=body)
        assert "Too many levels" in alice.shell(f"echo more >> ~/{plan}").text
        assert alice.shell("cat ~/private.txt").text == "mine"
    finally:
        mallory.shell(f"rm -f ~/{plan}")


def test_what_the_class_reads_is_changed(mallory: Person) -> None:
    """Tries: to change or add to what teachers share with the class, and to the course's data.

    Stopped by: students can only read there.
    """
    tried = mallory.shell("""
        for place in ~/shared ~/data; do
            for file in "$place"/*; do echo evil >> "$file"; done
            touch "$place/evil"; ln -s /etc/passwd "$place/link"; mv "$place" "$place.old" && mv "$place.old" "$place"
            rmdir "$(readlink -f "$place")"
        done 2>&1
        ls ~/shared/ ~/data/
    """)
    assert tried.text.count("Permission denied") + tried.text.count("Read-only file system") >= 6, tried.text
    assert "evil\n" not in tried.text and "link\n" not in tried.text


def test_directories_of_anothers_server(mallory: Person, alice: Person) -> None:
    """Tries: to read what another student's running server uses: sockets of kernels, temporary files.

    Stopped by: runtime directories are 0700, and each server has its own /tmp.
    """
    alice.shell("echo hers > /tmp/hers; echo hers > /var/tmp/hers; chmod 0644 /tmp/hers /var/tmp/hers")
    assert alice.python("import os; print(bool(os.listdir(os.environ['JUPYTER_RUNTIME_DIR'])))") == "True"
    tried = mallory.shell(f"""
        ls /run/{alice.unit.removesuffix(".service")} /run/user/$(id -u {alice.account}) 2>&1
        cat /tmp/hers /var/tmp/hers 2>&1
        find /tmp /var/tmp -name '*{alice.account}*' -readable -type f 2> /dev/null
    """)
    assert "hers\n" not in tried.text.replace("/hers", "")
    assert tried.text.count("No such file") + tried.text.count("Permission denied") == 4, tried.text


def test_a_hard_link_to_what_is_not_ones_own(mallory: Person) -> None:
    """Tries: to make a hard link, in one's own home, to a file of root's that is replaced later.

    Stopped by: the kernel (fs.protected_hardlinks).
    """
    tried = mallory.shell(
        "for file in /etc/shadow /etc/passwd /usr/bin/sudo; do ln $file ~/link-$(basename $file) 2>&1; done"
    )
    assert tried.text.count("ln: ") == 3, tried.text
