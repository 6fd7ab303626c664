"""A student searches the server for credentials: keys, tokens, the teacher's leftovers, others' lines in logs."""

from __future__ import annotations

from runner.servers.access import THIN_DIR
from tests.support.attackers import Person
from tests.support.hub import Hub


def refused(person: Person, *paths: str) -> None:
    """Check that the person cannot list, read or write each of these paths."""
    said = person.python(f"""
import glob, os
for pattern in {list(paths)}:
    # A pattern that finds nothing: what holds it is closed already.
    for path in glob.glob(pattern) or [pattern]:
        for flags in (os.O_RDONLY, os.O_WRONLY):
            try:
                os.close(os.open(path, flags))
                print("OPEN", path, flags)
            except (PermissionError, FileNotFoundError):
                print("closed")
            except OSError as error:
                print("OPEN" if flags == os.O_RDONLY else "closed", path, error)
""")
    assert said.count("closed") >= 2 * len(paths)
    assert "OPEN" not in said, said


def test_files_of_the_hub(mallory: Person, hub: Hub) -> None:
    """Tries: to read the hub's database, cookie secret and tokens.

    Stopped by: only root can enter /srv/jupyterhub.
    """
    state = "/srv/jupyterhub"
    assert hub.run(f"ls {state}/cookie_secret {state}/jupyterhub.sqlite {state}/proxy.env")
    refused(mallory, state, *(f"{state}/{name}" for name in ("cookie_secret", "jupyterhub.sqlite", "proxy.env")))
    refused(mallory, "/etc/jupyterhub", "/etc/jupyterhub/jupyterhub_config.py", "/etc/jupyterhub/work.json")


def test_passwords_and_private_keys(mallory: Person, hub: Hub) -> None:
    """Tries: to read password hashes, the certificate's key and the server's host key.

    Stopped by: only root can read them.
    """
    assert hub.run("ls /etc/ssh/ssh_host_ed25519_key /etc/shadow /etc/ssl/coursehub/*/privkey.pem")
    refused(
        mallory,
        "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/var/backups/shadow.bak", "/etc/security/opasswd",
        "/etc/ssh/ssh_host_ed25519_key", "/etc/ssl/private", "/etc/ssl/coursehub/*/privkey.pem",
        "/etc/letsencrypt/live/*/privkey.pem", "/etc/letsencrypt/accounts/*", "/root", "/root/.ssh/authorized_keys",
    )  # fmt: skip


def test_leftovers_of_salt(mallory: Person, hub: Hub) -> None:
    """Tries: to read the course's secrets where Salt left the pillar and its states on the server.

    Stopped by: Salt unpacks itself in a root-only directory below /var/lib, and nowhere else.
    """
    assert hub.run(f"ls {THIN_DIR}")
    refused(mallory, THIN_DIR, f"{THIN_DIR}/minion", f"{THIN_DIR}/salt_state.tgz", "/var/lib/coursehub/accounts.json")
    found = mallory.shell(
        "find / -xdev \\( -name 'pillar*' -o -name 'salt_state*' -o -name '*.sls' -o -name 'lowstate.json' \\) "
        "-readable -type f 2> /dev/null | grep -v -e /site-packages/ -e /usr/share/; true"
    )
    assert found.text == ""


def test_leftovers_of_the_first_boot(mallory: Person) -> None:
    """Tries: to read the user-data with which the server was ordered, which contained its first host key.

    Stopped by: cloud-init's files are root's, and the key was changed at the first contact.
    """
    found = mallory.shell("cat /var/lib/cloud/instance/user-data.txt /var/lib/cloud/seed/nocloud/user-data 2>&1; true")
    assert "PRIVATE KEY" not in found.text
    refused(mallory, "/var/lib/cloud/instances/*/user-data.txt", "/var/lib/cloud/instance/obj.pkl")


def test_logs_of_others(mallory: Person) -> None:
    """Tries: to read who did what: the journal, nginx's log, sign-ins, the kernel's messages.

    Stopped by: logs belong to root and the groups adm and systemd-journal, which have no student.
    """
    refused(mallory, "/var/log/nginx/access.log", "/var/log/coursehub", "/var/log/auth.log", "/var/log/btmp")
    said = mallory.shell("journalctl -n 5 --no-pager -q 2>&1; journalctl -u jupyterhub -n 5 --no-pager -q 2>&1; true")
    assert "jupyterhub[" not in said.text and "systemd[1]" not in said.text, said.text


def test_world_writable_places(mallory: Person) -> None:
    """Tries: to find a file or directory of the system that every account may write to.

    Stopped by: there is none except the temporary directories, which each server has for itself.
    """
    found = mallory.shell(
        "find / -xdev -perm -0002 ! -type l ! -path '/proc/*' ! -path \"$HOME/*\" 2> /dev/null | sort; true",
        seconds=120,
    )
    stray = [line for line in found.text.splitlines() if not line.startswith(("/tmp", "/var/tmp", "/dev"))]
    assert not stray, stray


def test_services_of_the_system_bus(mallory: Person, hub: Hub) -> None:
    """Tries: to change the server through the system bus: its name, clock and power, others' sessions and messages.

    Stopped by: each service requires polkit's permission or root.
    """
    name = hub.run("hostname")
    said = mallory.shell("""
        call() { timeout 20 busctl --no-pager call "$@" < /dev/null > /dev/null 2>&1 && echo "DONE $*"; }
        call org.freedesktop.DBus / org.freedesktop.DBus.Monitoring BecomeMonitor asu 0 0
        call org.freedesktop.DBus / org.freedesktop.DBus UpdateActivationEnvironment 'a{ss}' 1 LD_PRELOAD /tmp/evil.so
        call org.freedesktop.hostname1 /org/freedesktop/hostname1 org.freedesktop.hostname1 SetHostname sb evil 0
        call org.freedesktop.timedate1 /org/freedesktop/timedate1 org.freedesktop.timedate1 SetNTP bb 0 0
        call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager KillUser usi 0 leader 15
        call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager PowerOff b 0
        call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager Reload
        echo tried
    """)
    assert said.text == "tried"
    assert hub.run("hostname") == name
