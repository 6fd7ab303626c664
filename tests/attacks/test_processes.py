"""A student attacks other people's processes: their output, their data, their execution."""

from __future__ import annotations

import pytest

from tests.support.attackers import Person
from tests.support.hub import Hub

#: System call numbers of x86-64 that Python has no names for.
_CALLS = "ptrace, process_vm_readv, pidfd_open, pidfd_getfd, kcmp = 101, 310, 434, 438, 312\n"
_BEGIN = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n" + _CALLS


@pytest.fixture
def target(alice: Person, hub: Hub) -> int:
    """The process of another student's server."""
    alice.serve()
    pid = int(hub.run(f"systemctl show -p MainPID --value {alice.unit}"))
    assert pid > 1
    return pid


def test_environment_of_anothers_server(mallory: Person, target: int) -> None:
    """Tries: to read another student's token in their server's environment.

    Stopped by: /proc shows it only to the same account.
    """
    said = mallory.python(f"print(open('/proc/{target}/environ', 'rb').read())")
    assert "PermissionError" in said or "FileNotFoundError" in said


def test_memory_and_files_of_anothers_server(mallory: Person, target: int) -> None:
    """Tries: to read another process's memory, map, open files and root directory.

    Stopped by: /proc shows these only to the same account.
    """
    code = f"""
import os
for name in ("mem", "maps", "fd", "root", "cwd", "io", "syscall", "stack", "map_files", "auxv"):
    path = "/proc/{target}/" + name
    try:
        try:
            found = os.listdir(path)
        except NotADirectoryError:
            found = open(path, "rb").read(64)
        print("OPEN", name, found)
    except OSError as error:
        print(name, error.errno)
"""
    said = mallory.python(code)
    assert len(said.splitlines()) == 10
    assert "OPEN" not in said, said


def test_anothers_process_is_traced(mallory: Person, target: int) -> None:
    """Tries: to attach to another student's server, to read its memory and to take over one of its open files.

    Stopped by: the kernel requires the same account (and system calls that the unit does not have).
    """
    code = f"""
{_BEGIN}
attach, seize = 16, 0x4206
for call, *arguments in (
    (ptrace, attach, {target}, 0, 0), (ptrace, seize, {target}, 0, 0), (kcmp, {target}, os.getpid(), 0, 0, 0)
):
    print("refused" if libc.syscall(call, *arguments) == -1 else "DONE", os.strerror(ctypes.get_errno()))
buffer = ctypes.create_string_buffer(16)
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
here, there = Part(ctypes.addressof(buffer), 16), Part(0x400000, 16)
answer = libc.syscall(process_vm_readv, {target}, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
print("refused" if answer == -1 else "DONE", os.strerror(ctypes.get_errno()))
handle = libc.syscall(pidfd_open, {target}, 0)
answer = libc.syscall(pidfd_getfd, handle, 1, 0) if handle >= 0 else -1
print("refused" if answer == -1 else "DONE", os.strerror(ctypes.get_errno()))
"""
    said = mallory.python(code)
    assert said.count("refused") == 5, said


def test_anothers_process_is_ended_or_stopped(mallory: Person, target: int, hub: Hub) -> None:
    """Tries: to end, stop and slow down another student's server.

    Stopped by: the kernel requires the same account.
    """
    code = f"""
import os
for attempt in (
    lambda: os.kill({target}, 9),
    lambda: os.kill({target}, 19),
    lambda: os.setpriority(os.PRIO_PROCESS, {target}, 19),
    lambda: os.sched_setaffinity({target}, {{0}}),
):
    try:
        attempt()
        print("DONE")
    except OSError as error:
        print("refused", error)
"""
    said = mallory.python(code)
    assert said.count("refused") == 4, said
    assert hub.run(f"ps -o stat= -p {target}").strip()[0] in "SR"


def test_processes_of_the_hub(mallory: Person, hub: Hub) -> None:
    """Tries: to read the secrets of hub, proxy and "Students' work" in their environments and memory.

    Stopped by: they run as other accounts.
    """
    units = "jupyterhub jupyterhub-proxy jupyterhub-work nginx"
    pids = [int(pid) for pid in hub.run(f"systemctl show -p MainPID --value {units}").split()]
    assert len(pids) == 4 and all(pids)
    code = f"""
for pid in {pids}:
    for name in ("environ", "mem", "maps"):
        try:
            print("OPEN", pid, name, open(f"/proc/{{pid}}/{{name}}", "rb").read(64))
        except OSError as error:
            print("closed", error.errno)
"""
    said = mallory.python(code)
    assert said.count("closed") == 12, said


def test_switches_of_the_kernel(mallory: Person) -> None:
    """Tries: to change the kernel's settings, to crash it by SysRq, and to read its log.

    Stopped by: only root may.
    """
    code = """
import os
for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/yama/ptrace_scope",
             "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/mm/ksm/run", "/sys/fs/cgroup/cgroup.procs"):
    try:
        os.close(os.open(path, os.O_WRONLY))
        print("OPEN", path)
    except OSError as error:
        print("closed", path, error.errno)
for path in ("/dev/mem", "/dev/kmsg", "/proc/kcore", "/proc/kmsg", "/dev/port"):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        print("OPEN", path)
    except OSError as error:
        print("closed", path, error.errno)
"""
    said = mallory.python(code)
    assert said.count("closed") == 11, said
