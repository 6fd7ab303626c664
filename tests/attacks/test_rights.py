"""A student tries to become more than a student: root, somebody else, or somebody who stays after the server ended."""

from __future__ import annotations

import time
from pathlib import Path

from runner.servers.access import KeyPair
from tests.support.attackers import Outside, Person
from tests.support.hub import Hub


def test_sudo_and_its_kind(mallory: Person) -> None:
    """Tries: sudo, su, pkexec and runuser, as many of them as the server has.

    Stopped by: NoNewPrivileges, and sudo's rules name nobody of the class.
    """
    tried = mallory.shell("""
        for program in 'sudo -n' 'su -c' 'pkexec' 'runuser -u root --' 'sg root -c' 'setpriv --reuid=0'; do
            command -v ${program%% *} > /dev/null || continue
            echo "$program: $(timeout 5 $program id -u < /dev/null 2>&1 | tail -n 1)"
        done
        id -u
    """)
    own = tried.text.splitlines()[-1]
    answers = [line.rpartition(": ")[2] for line in tried.text.splitlines()[:-1]]
    assert int(own) >= 1000 and len(answers) >= 2, tried.text
    assert "0" not in answers, tried.text


def test_programs_that_run_as_their_owner(mallory: Person) -> None:
    """Tries: to gain rights by a program with the setuid or setgid bit, or with capabilities of its own.

    Stopped by: NoNewPrivileges: in a student's server such a program runs with the student's rights.
    """
    said = mallory.python("""
import re, shutil, subprocess
status = open("/proc/self/status").read()
print(re.findall("NoNewPrivs:\\t(.)", status), set(re.findall("Cap(?:Inh|Prm|Eff|Amb):\\t(0+)$", status, re.M)))
# It shows as which user it runs; the real one says "must be run from a terminal" or the like otherwise.
for program in ("chsh", "chfn", "gpasswd", "mount", "umount", "newgrp", "chage"):
    path = shutil.which(program)
    if path:
        done = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            print(program, re.findall("Uid:\\t(.*)", open(f"/proc/{done.pid}/status").read())[0].split()[1] == "0")
        except OSError:
            # It is another's now, and so out of sight (ProtectProc).
            print(program, True)
        done.kill()
        done.wait()
""")
    assert said.splitlines()[0].startswith("['1'] {'0"), said
    assert "True" not in said, said


def test_cron_and_at(mallory: Person, hub: Hub) -> None:
    """Tries: to let a command run later, outside the server, with cron or at.

    Stopped by: neither gets the rights to write there; and what is not installed does not exist.
    """
    tried = mallory.shell("""
        command -v crontab > /dev/null && echo '* * * * * touch /tmp/later' | crontab - 2>&1
        command -v at > /dev/null && echo 'touch /tmp/later' | at now + 1 minute 2>&1
        for place in /etc/cron.d /var/spool/cron /var/spool/cron/crontabs /var/spool/cron/atjobs; do
            touch "$place/attack" 2> /dev/null && echo "WRITTEN $place"
        done
        true
    """)
    assert "WRITTEN" not in tried.text
    places = "/var/spool/cron /etc/cron.d"
    assert hub.run(f"find {places} -user {mallory.account} -o -name attack 2>/dev/null || true").strip() == ""


def test_lingering_and_a_service_of_ones_own(mallory: Person, hub: Hub) -> None:
    """Tries: to start a service beside the server that survives it: lingering, a user's systemd, a transient unit.

    Stopped by: logind and systemd require rights that a student does not have; nothing of theirs runs outside
    class.slice.
    """
    tried = mallory.shell("""
        for command in 'loginctl enable-linger' 'systemd-run --user sleep 61' 'systemd-run sleep 61' \
                       'systemctl --user start x' 'busctl --user list' 'systemd-run --scope sleep 61'; do
            SYSTEMD_COLORS=0 timeout 10 setsid $command < /dev/null > /dev/null 2>&1 && echo "DONE $command"
        done
        echo tried
    """)
    assert tried.text.endswith("tried")
    assert "DONE" not in tried.text
    assert hub.run("ls /var/lib/systemd/linger 2>/dev/null | grep -c . || true").strip() == "0"


def test_units_of_the_hub_are_stopped(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to stop the hub, another student's server and the whole machine through systemd.

    Stopped by: systemd requires polkit's permission or root.
    """
    alice.serve()
    ask = f"systemctl show -p MainPID jupyterhub jupyterhub-proxy nginx {alice.unit}"
    before = hub.run(ask)
    tried = mallory.shell(f"""
        for command in 'stop jupyterhub' 'restart nginx' 'stop {alice.unit}' 'daemon-reload' 'kill jupyterhub' \
                       'set-property class.slice MemoryMax=1G' 'poweroff'; do
            timeout 10 systemctl --no-ask-password $command < /dev/null > /dev/null 2>&1 && echo "DONE $command"
        done
        echo tried
    """)
    assert tried.text == "tried"
    assert hub.run(ask) == before


def test_a_process_that_outlives_the_server(mallory: Person, hub: Hub) -> None:
    """Tries: to leave a process that continues when the server is stopped (two forks, its own session).

    Stopped by: systemd kills the unit's whole control group.
    """
    mallory.shell("setsid -f nohup sleep 4711 > /dev/null 2>&1; true")
    uid = mallory.shell("id -u").text
    assert hub.run(f"pgrep -u {uid} -f 'sleep 4711'").strip()
    mallory.stop()
    deadline = time.monotonic() + 30
    while hub.run(f"pgrep -u {uid} || true").strip() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert hub.run(f"ps -u {uid} -o pid=,args= || true").strip() == ""


def test_out_of_the_class_and_its_limits(mallory: Person) -> None:
    """Tries: to leave the control group that holds the limits, or to raise them.

    Stopped by: control groups are root's, and shown read-only.
    """
    said = mallory.python("""
import os
tried = 0
for line in open("/proc/self/cgroup"):
    _, controllers, group = line.strip().split(":", 2)
    for root in {"/sys/fs/cgroup/" + controllers.removeprefix("name="), "/sys/fs/cgroup"}:
        for directory in (root + group, os.path.dirname(root + group), root):
            for name in ("cgroup.procs", "memory.max", "memory.limit_in_bytes", "pids.max", "cpu.max"):
                if not os.path.exists(os.path.join(directory, name)):
                    continue
                tried += 1
                try:
                    os.close(os.open(os.path.join(directory, name), os.O_WRONLY))
                    print("OPEN", directory, name)
                except OSError:
                    pass
print(tried > 3 or tried)
""")
    assert said == "True", said


def test_raw_and_packet_sockets(mallory: Person) -> None:
    """Tries: to read others' packets and to send forged ones.

    Stopped by: no CAP_NET_RAW, and address families that the unit does not have.
    """
    said = mallory.python("""
import socket
for family, kind, number in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET6, socket.SOCK_RAW, 58),
                             (socket.AF_PACKET, socket.SOCK_RAW, 0x300), (socket.AF_PACKET, socket.SOCK_DGRAM, 0x300)):
    try:
        socket.socket(family, kind, number)
        print("OPEN", family)
    except OSError as error:
        print("closed", error)
""")
    assert said.count("closed") == 4, said


def test_devices(mallory: Person) -> None:
    """Tries: to open disks, memory, FUSE, the network's tunnel device and others' terminals.

    Stopped by: PrivateDevices: the unit has its own /dev without them.
    """
    tried = mallory.shell("""
        for device in mem kmem port sda vda loop0 loop-control fuse net/tun kvm vhost-net console tty1 uinput snd; do
            ( : < /dev/$device ) 2> /dev/null && echo "OPEN $device"
        done
        mknod ~/disk b 8 0 2> /dev/null && echo "MADE"
        rm -f ~/disk; echo tried
    """)
    assert tried.text == "tried"


def test_a_key_of_ones_own_for_ssh(mallory: Person, outside: Outside, tmp_path: Path) -> None:
    """Tries: to put a key into ~/.ssh/authorized_keys and sign in by SSH, outside all limits.

    Stopped by: sshd's DenyGroups.
    """
    pair = KeyPair.generate("attack")
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text(pair.private)
    assert mallory.shell(f"mkdir -pm 700 ~/.ssh; echo '{pair.public}' > ~/.ssh/authorized_keys").code == 0
    try:
        refused = outside.ssh(mallory.account, tmp_path / "key")
        assert refused.returncode == 255
        assert "Permission denied" in refused.stderr, refused.stderr
    finally:
        mallory.shell("rm -r ~/.ssh")


def test_what_others_run_is_changed(mallory: Person) -> None:
    """Tries: to write where everybody's programs, packages, shells and notebooks are loaded from.

    Stopped by: the course's environment and the system belong to root, and are read-only to the unit.
    """
    said = mallory.python("""
import glob, os, site, sys
places = [*site.getsitepackages(), sys.prefix, sys.prefix + "/bin", sys.prefix + "/share/jupyter", sys.executable,
          "/opt/course", "/opt/course/bin", "/opt/jupyterhub", "/opt/uv", "/opt", "/usr/local/bin", "/usr/local/lib",
          "/usr/local/etc/jupyter", "/usr/bin", "/usr/share", "/etc", "/etc/profile.d", "/etc/jupyter", "/etc/ipython",
          "/var/www", "/var/lib", "/srv", "/srv/class", "/srv/class/shared", "/srv/class/data", "/home"]
tried = 0
for place in places:
    if not os.path.exists(place):
        continue
    tried += 1
    try:
        if os.path.isdir(place):
            name = os.path.join(place, "attack.pth")
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
            os.unlink(name)
        else:
            os.close(os.open(place, os.O_WRONLY))
        print("WRITTEN", place)
    except OSError:
        pass
print(tried > 15 or tried)
""")
    assert said == "True", said
