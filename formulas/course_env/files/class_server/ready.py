"""One kernel for which nobody has to wait: a process that has already imported what most notebooks import.

Most of the time of a kernel's start is spent on these imports. The process belongs to this server alone, so two people
share nothing. It is started when the server has run for a while without a kernel: at nine o'clock, when everybody
starts at once, nobody waits for a process that another one may never need.
"""

import json
import os
import subprocess
import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from class_server.kernels import FIRST_TO_GO, arguments_of
from class_server.memory import memory_limit
from class_server.warm import from_image

NAME = "class-ready"
PROGRAM = Path(__file__).parent.parent / "class_kernel" / "ready.py"
# Each kernel has its own value of these. All other variables must be as they were when the process was started.
OF_ONE_KERNEL = ("JPY_SESSION_NAME",)
# ipykernel reads this when it is imported, to end with the server.
PARENT = {"JPY_PARENT_PID": str(os.getpid())}
# Bytes. A pipe takes this without waiting for its reader.
LONGEST_ORDER = 60000
# Bytes. With less memory for server and kernels there is no room for a kernel that may not be used.
ENOUGH_MEMORY = 512 << 20


class Ready:
    """The process that waits to become a kernel, with the modules that it imports."""

    def __init__(self, modules: list[str]) -> None:
        self._modules = modules
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_with: tuple[dict[str, str], list[int | None]] = ({}, [])
        self._too_late = False

    def make(self) -> None:
        """Start the process, unless there has been a kernel already."""
        with self._lock:
            if self._too_late or self._process:
                return
            environment = without_own(dict(os.environ))
            self._started_with = (environment, changed(environment))
            self._process = subprocess.Popen(
                [*FIRST_TO_GO, sys.executable, "-P", str(PROGRAM), *self._modules],
                stdin=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )

    def take(self, command: list[str], environment: dict[str, str], directory: str) -> subprocess.Popen[bytes] | None:
        """Return the process as the kernel that a command would start; None if there is none, or it would differ."""
        with self._lock:
            self._too_late = True
            process, self._process = self._process, None
        if process is None:
            return None
        arguments = arguments_of(command)
        expected = without_own(environment)
        order = json.dumps(
            {"arguments": arguments, "directory": directory, "environment": environment | PARENT}
        ).encode()
        if (
            arguments is None
            or self._started_with != (expected, changed(expected))
            # matplotlib reads this file when it is imported.
            or Path(directory, "matplotlibrc").exists()
            or len(order) > LONGEST_ORDER
            or not give(process, order)
        ):
            process.kill()
            process.wait()
            return None
        return process


def without_own(environment: dict[str, str]) -> dict[str, str]:
    """Return a kernel's environment without what differs from kernel to kernel."""
    return {name: value for name, value in environment.items() if name not in OF_ONE_KERNEL} | PARENT


def changed(environment: dict[str, str]) -> list[int | None]:
    """Return when the student's own packages, and matplotlib's settings, were last changed; None if there are none."""
    settings = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config", "matplotlib", "matplotlibrc")
    return [
        (path.stat().st_mtime_ns if path.exists() else None)
        for path in (Path(environment.get("COURSEHUB_OWN", "/nonexistent")), settings)
    ]


def give(process: subprocess.Popen[bytes], order: bytes) -> bool:
    """Write to a process's standard input and close it. Returns False if the process has ended."""
    if process.stdin is None or process.poll() is not None:
        return False
    try:
        with process.stdin as pipe:
            pipe.write(order)
    except OSError:
        return False
    return True


class ClassProvisioner(LocalProvisioner):
    """Starts kernels as Jupyter does, or from the image; or the first one is the process that is ready.

    A kernel that is started again, by its owner or because it ended, starts as Jupyter does.
    """

    ready: Ready | None = None
    image = ""
    _started = False

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start a kernel and return how to connect to it."""
        directory, environment = str(kwargs.get("cwd") or Path.cwd()), dict(kwargs.get("env") or os.environ)
        process = self.ready.take(cmd, environment, directory) if self.ready else None
        if process is None:
            if self.image and not self._started:
                cmd = from_image(self.image, cmd, environment, directory)
            self._started = True
            return await super().launch_kernel(cmd, **kwargs)
        # As LocalProvisioner does after its own start. The process leads its own group.
        self.process = process
        self.pid = self.pgid = process.pid
        self.cwd = directory
        return self.connection_info


def keep_one_ready(config: Any, modules: list[str], seconds: float) -> None:
    """Do what a configuration of 29 or 30 November 2026 asks. To be removed with version 0.2.

    A server's configuration is written just after this module, so until the end of its next ``apply`` it may be older
    than the module. It is never newer: a rollback brings both back while the hub is stopped.
    """
    start_kernels_soon(config, "", modules, seconds)


def start_kernels_soon(config: Any, image: str, modules: list[str], seconds: float) -> None:
    """Start kernels from the image, if there is one. Otherwise one process is made ready after so many seconds.

    It is not made with little memory, or without modules.
    """
    limit = memory_limit()
    if image and Path(image).exists():
        ClassProvisioner.image = image
    elif not modules or 0 < limit < ENOUGH_MEMORY:
        return
    else:
        ClassProvisioner.ready = Ready(modules)
        timer = threading.Timer(seconds, ClassProvisioner.ready.make)
        timer.daemon = True
        timer.start()
    KernelProvisionerFactory.provisioners[NAME] = EntryPoint(
        NAME, "class_server.ready:ClassProvisioner", "jupyter_client.kernel_provisioners"
    )
    config.KernelProvisionerFactory.default_provisioner_name = NAME
