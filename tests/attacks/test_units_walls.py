"""Attacks from the unit of one's own server: on others' memory and messages, the kernel, the system's files."""

from __future__ import annotations

import pytest

from runner.audit.scanners import units
from tests.support.attackers import Person
from tests.support.hub import Hub


def test_command_lines_of_others(mallory: Person, alice: Person) -> None:
    """Tries: to read others' command lines, which may contain a token.

    Stopped by: a server's /proc shows only its own account's processes (ProtectProc).
    """
    alice.python("import subprocess; subprocess.Popen(['sleep', '60'], env={'git-token': 'x'})")
    seen = mallory.shell("ps -eo user:32= | sort -u").text.split()
    assert seen == [mallory.account]
    assert "1" not in mallory.python("import os; print(*filter(str.isdigit, os.listdir('/proc')))").split()


@pytest.mark.parametrize("place", ["/dev/shm", "/tmp", "/var/tmp", "/run/lock"])
def test_files_for_everybody_are_shared(mallory: Person, alice: Person, place: str) -> None:
    """Tries: to find what another student's programs put where everybody may write, and to leave something there.

    Stopped by: each server has its own such directories, or cannot write there.
    """
    alice.shell(f"echo secret > {place}/of-alice; chmod 666 {place}/of-alice; true")
    listed = mallory.shell(f"ls -A {place}; cat {place}/of-alice").text
    assert "secret" not in listed and "of-alice\n" not in listed
    if place == "/run/lock":
        assert mallory.python(f"open('{place}/mine', 'w')").startswith(("PermissionError", "OSError: [Errno 30]"))


def test_shared_memory_outlives_its_server(bob: Person) -> None:
    """Tries: to keep data in memory after one's server has stopped.

    Stopped by: a server's file systems in memory are removed with it.
    """
    for place in ("/dev/shm", "/tmp", "/var/tmp"):
        bob.python(f"open('{place}/kept', 'w').write('x')")
    bob.restart()
    code = "import os; print([p for p in ('/dev/shm', '/tmp', '/var/tmp') if os.path.exists(p + '/kept')])"
    assert bob.python(code) == "[]"


@pytest.mark.parametrize("place", ["/dev/shm", "/tmp", "/var/tmp", "/run/jupyter-server"])
def test_memory_of_all_is_filled_by_files(mallory: Person, hub: Hub, place: str) -> None:
    """Tries: to fill the file systems that are in memory, so that nothing can start any more.

    Stopped by: each server has its own, with a limit.
    """
    before = int(hub.run("df --output=used -k /run | tail -1"))
    said = mallory.python(
        f"import os; d = os.open('{place}/big', os.O_CREAT | os.O_WRONLY); os.posix_fallocate(d, 0, 3 << 30)"
    )
    assert said.startswith("OSError: [Errno 28]"), said
    mallory.python(f"import os; os.unlink('{place}/big')")
    assert int(hub.run("df --output=used -k /run | tail -1")) - before < 1024


def test_memory_of_system_v(mallory: Person, alice: Person) -> None:
    """Tries: to find and open another student's System V shared memory, whatever its rights.

    Stopped by: each server has its own IPC namespace (PrivateIPC).
    """
    make = "import ctypes; print(ctypes.CDLL(None).shmget(4242, 4096, 0o1666))"
    assert int(alice.python(make)) >= 0
    assert mallory.python("import ctypes; print(ctypes.CDLL(None).shmget(4242, 4096, 0))") == "-1"
    assert "4242" not in mallory.python("print(open('/proc/sysvipc/shm').read())")


@pytest.mark.parametrize("kind", ["user", "mnt", "net", "pid", "ipc", "uts", "cgroup"])
def test_namespaces_of_ones_own(mallory: Person, kind: str) -> None:
    """Tries: to be root in a new namespace, from which most vulnerabilities of the kernel are reached.

    Stopped by: RestrictNamespaces.
    """
    flags = {"user": 0x10000000, "mnt": 0x00020000, "net": 0x40000000, "pid": 0x20000000, "ipc": 0x08000000,
             "uts": 0x04000000, "cgroup": 0x02000000}[kind]  # fmt: skip
    code = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for flags in ({flags}, {flags} | 0x10000000):
    print(libc.unshare(flags), ctypes.get_errno())
print(libc.syscall(56, {flags} | 0x10000000 | 17, 0, 0, 0, 0), ctypes.get_errno())
"""
    assert mallory.python(code).splitlines() == ["-1 1"] * 3
    assert mallory.shell("unshare --user --map-root-user id").code != 0


def test_clone3_past_the_filter(mallory: Person) -> None:
    """Tries: to make a user namespace with the newer call whose flags no filter can see.

    Stopped by: systemd makes clone3 fail as not implemented if namespaces are restricted.
    """
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
found = libc.syscall(435, arguments, 88)
if found == 0:
    os._exit(0)
print(found, ctypes.get_errno())
"""
    assert mallory.python(code) in ("-1 38", "-1 1")


@pytest.mark.parametrize(
    ("name", "call"),
    [("io_uring", "425, 8, buffer"), ("add_key", "248, b'user', b'x', b'y', 1, -3"), ("keyctl", "250, 0, -3, 1"),
     ("bpf", "321, 0, buffer, 64"), ("userfaultfd", "323, 0"), ("perf_event_open", "298, buffer, 0, -1, -1, 0"),
     ("mount", "165, b'none', b'/tmp', b'tmpfs', 0, 0"), ("kexec", "246, 0, 0, 0, 0"), ("setns", "308, 0, 0"),
     ("chroot", "161, b'/tmp'"), ("open_by_handle_at", "304, -100, buffer, 0"), ("quotactl", "179, 0, 0, 0, 0")],
)  # fmt: skip
def test_calls_that_no_class_needs(mallory: Person, name: str, call: str) -> None:
    """Tries: to reach parts of the kernel through which others became root.

    Stopped by: SystemCallFilter.
    """
    code = f"""
import ctypes
libc, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(256)
print(libc.syscall({call}), ctypes.get_errno())
"""
    assert mallory.python(code) == "-1 1", name


@pytest.mark.parametrize("family", [17, 38, 40, 44, 29, 21, 9, 5])
def test_families_of_sockets_that_no_class_needs(mallory: Person, family: int) -> None:
    """Tries: to let the kernel load old or rare network protocols (packets, crypto, vsock, XDP, CAN, RDS, X.25...).

    Stopped by: RestrictAddressFamilies.
    """
    code = f"import socket; socket.socket({family}, socket.SOCK_RAW if {family} == 17 else socket.SOCK_DGRAM)"
    assert mallory.python(code).startswith("OSError: [Errno 97]")


def test_rights_that_a_server_has_left(mallory: Person) -> None:
    """Tries: to find a capability, or a way to gain one.

    Stopped by: an empty bounding set, no new privileges, a system call filter; kernels and terminals have the same.
    """
    wanted = {"CapBnd": "0" * 16, "CapEff": "0" * 16, "CapAmb": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    read = "dict(line.split(':', 1) for line in open('/proc/self/status'))"
    for said in (
        mallory.python(f"found = {read}; print({{name: found[name].strip() for name in {list(wanted)}}})"),
        mallory.shell(
            f'python3 -c "found = {read}; print({{name: found[name].strip() for name in {list(wanted)}}})"'
        ).text,
    ):
        assert said == str(wanted)


@pytest.mark.parametrize(
    "path", ["/etc/mine", "/usr/local/bin/mine", "/opt/mine", "/var/lib/mine", "/run/mine", "/srv/mine"]
)
def test_files_of_the_system_are_written(mallory: Person, path: str) -> None:
    """Tries: to write outside of home and team.

    Stopped by: file permissions; and the whole system is read-only for a server, in case one of them is wrong.
    """
    said = mallory.python(f"open('{path}', 'w')")
    assert said.startswith(("OSError: [Errno 30]", "PermissionError")), said


def test_walls_of_units_are_what_we_say(hub: Hub, alice: Person) -> None:
    """Tries: nothing; checks that systemd's own measure of every unit's restrictions is as good as documented.

    Stopped by: the properties of the units (0 is closed, 10 open); the goals are those of `audit`.
    """
    alice.serve()
    said = hub.run(units.ASK, seconds=300)
    for unit in (alice.unit, "jupyterhub.service", "nginx.service", "coursehub-cert.service", "ssh.service"):
        assert f" {unit}: " in said, said
    assert units.parse(said).findings == ()
