"""Restrictions of a person's server as systemd properties, for the server, its kernels and its terminals.

What a class needs still works: compilers, git, R and Octave, subprocesses with shared memory, `passwd`, packages in the
home. If a property is less strict than it could be, the reason is beside it.
"""

from pathlib import Path

# Jupyter keeps sockets and keys of kernels here. It is a separate file system of the unit, so nobody can fill /run for
# others. The name is short, so that a socket's path fits (107 bytes) with any account name.
RUNTIME = Path("/run/jupyter-server")
RUNTIME_BYTES, RUNTIME_FILES = 32 << 20, 4096
# Size in bytes of each of /tmp, /var/tmp and /dev/shm if a server has no memory limit; otherwise half of the limit.
# They are in memory, so they count for the server.
MEMORY_FILES = 1 << 30

# All system calls that programs of a class need; ptrace and the like are for gdb, on one's own processes. io_uring can
# open sockets past RestrictAddressFamilies, and the keyring has had vulnerabilities that gave root.
CALLS = [
    "@system-service @pkey ptrace process_vm_readv process_vm_writev pidfd_getfd",
    "~@keyring copy_file_range io_uring_setup io_uring_enter io_uring_register perf_event_open userfaultfd",
]


def confined(home: str, uid: int, gid: int, memory: int | None) -> dict[str, str | list[str]]:
    """Return the properties for a server whose owner has the home ``home``; ``memory`` is its limit in bytes."""
    size = memory // 2 if memory else MEMORY_FILES
    return {
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        # Files: the system is read-only, except the home and what a class shares. Directories for temporary files are
        # separate for each server, limited in size, and removed with it. PrivateTmp would use one file system for all.
        "ProtectSystem": "strict",
        "ReadOnlyPaths": "/run",
        "ReadWritePaths": [home, "-/srv/class"],
        "TemporaryFileSystem": [
            *(f"{path}:size={size},mode=1777,nosuid,nodev" for path in ("/tmp", "/var/tmp", "/dev/shm")),  # noqa: S108
            f"{RUNTIME}:size={RUNTIME_BYTES},nr_inodes={RUNTIME_FILES},mode=0700,uid={uid},gid={gid},nosuid,nodev",
        ],
        # Homes are 0700 and each person has their own group. Files in a team's directory belong to the team.
        "UMask": "0007",
        # Other people: hide their processes, System V memory and message queues. `free` and the like still need /proc.
        "ProtectProc": "invisible",
        "PrivateIPC": "yes",
        "KeyringMode": "private",
        # journald's sockets take entries of 32 MB: a few would push everybody's lines out of the journal. What the
        # server prints still gets there, because that connection is made before. The bus logs what it refuses.
        "InaccessiblePaths": ["-/run/systemd/journal", "-/run/dbus"],
        # The kernel.
        "PrivateDevices": "yes",
        "ProtectKernelTunables": "yes",
        "ProtectKernelModules": "yes",
        "ProtectKernelLogs": "yes",
        "ProtectControlGroups": "yes",
        "ProtectClock": "yes",
        "ProtectHostname": "yes",
        "RestrictNamespaces": "yes",
        "RestrictRealtime": "yes",
        # Not RestrictSUIDSGID: folders of a team have set-group-ID, and copying them (cp -a, Lab) would fail.
        # NoNewPrivileges already makes set-user-ID files useless.
        # netlink: for the list of addresses and interfaces.
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "LockPersonality": "yes",
        "SystemCallArchitectures": "native",
        "SystemCallFilter": CALLS,
        # A refused call gives an error that a program can handle; it does not kill the program.
        "SystemCallErrorNumber": "EPERM",
    }
