"""What a person's server may not do, as systemd's properties: for the server, its kernels and its terminals alike.

A class goes on doing what it does: compilers, git, R and Octave, subprocesses with shared memory, `passwd`, packages in
the home. Where a property is looser than it could be, the reason stands beside it.
"""

from pathlib import Path

# Where Jupyter keeps sockets and keys of kernels: a file system of the unit's own, so that nobody fills /run for
# others, and with a name so short that a socket's path fits (107 bytes) whatever the account is called.
RUNTIME = Path("/run/jupyter-server")
RUNTIME_BYTES, RUNTIME_FILES = 32 << 20, 4096
# Bytes of /tmp, /var/tmp and /dev/shm each where a server has no limit of memory; with one it is half of that. They are
# memory, so they count as the server's own.
MEMORY_FILES = 1 << 30

# Nothing of what a program in a class asks of the kernel is missing; ptrace and its like are for gdb, on one's own
# processes. io_uring opens sockets past RestrictAddressFamilies, and the keyring has been a way to root.
CALLS = [
    "@system-service @pkey ptrace process_vm_readv process_vm_writev pidfd_getfd",
    "~@keyring io_uring_setup io_uring_enter io_uring_register perf_event_open userfaultfd",
]


def confined(home: str, uid: int, gid: int, memory: int | None) -> dict[str, str | list[str]]:
    """Return the properties for a server whose owner lives in ``home``; ``memory`` is its limit in bytes."""
    size = memory // 2 if memory else MEMORY_FILES
    return {
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        # Files: the system is read-only, but for the home and what a class shares. What is for all elsewhere, each has
        # alone here; it has an end, and goes with the server. PrivateTmp's would lie on one file system for everybody.
        "ProtectSystem": "strict",
        "ReadOnlyPaths": "/run",
        "ReadWritePaths": [home, "-/srv/class"],
        "TemporaryFileSystem": [
            *(f"{path}:size={size},mode=1777,nosuid,nodev" for path in ("/tmp", "/var/tmp", "/dev/shm")),  # noqa: S108
            f"{RUNTIME}:size={RUNTIME_BYTES},nr_inodes={RUNTIME_FILES},mode=0700,uid={uid},gid={gid},nosuid,nodev",
        ],
        # Homes are 0700 and each person's group is their own; what is made in a team's directory is the team's.
        "UMask": "0007",
        # Others: their processes, their System V memory and message queues. /proc has the rest for `free` and the like.
        "ProtectProc": "invisible",
        "PrivateIPC": "yes",
        "KeyringMode": "private",
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
        # Not RestrictSUIDSGID: folders of a team have set-group-ID, and their copies (cp -a, Lab's) would fail. What a
        # set-user-ID file could give, no new privileges takes.
        # netlink: the list of addresses and interfaces.
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "LockPersonality": "yes",
        "SystemCallArchitectures": "native",
        "SystemCallFilter": CALLS,
        # An error that a program can handle, not its death.
        "SystemCallErrorNumber": "EPERM",
    }
