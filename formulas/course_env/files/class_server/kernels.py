"""How a person's kernels are started: killed first at the memory limit, and safe from files beside a notebook."""

import sys
from typing import Any

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

# At the memory limit Linux kills the process with the highest score: a kernel, never the server, which tells the
# student. Everything that runs in a kernel inherits the score.
FIRST_TO_GO = ["/usr/bin/choom", "--adjust", "1000", "--"]


class ClassKernel(ServerKernelManager):
    """A kernel of any language, started with our options."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command that starts the kernel."""
        return [*FIRST_TO_GO, *safe(super().format_kernel_cmd(extra_arguments))]


def safe(argv: list[str]) -> list[str]:
    """Return the command of a kernel so that Python's own modules are found before files in the notebook's folder.

    Otherwise a random.py there would replace Python's, and the kernel would end before it could say so: Lab then shows
    "Connecting" for ever. class_kernel/own_modules.py adds the folder again, at the end of the path.
    """
    if argv[:2] != [sys.executable, "-m"]:
        return argv
    return [argv[0], "-P", *argv[1:]]


def use_class_kernels(config: Any) -> None:
    """Make the server start kernels as ClassKernel."""
    config.AsyncMappingKernelManager.kernel_manager_class = "class_server.kernels.ClassKernel"


def arguments_of(command: list[str]) -> list[str] | None:
    """Return the arguments of the course's Python kernel in the command that starts it; None for another kernel."""
    ours = [*FIRST_TO_GO, sys.executable, "-P", "-m", "ipykernel_launcher"]
    return command[len(ours) :] if command[: len(ours)] == ours else None
