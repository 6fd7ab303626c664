"""How a person's kernels are started: killed first at the memory limit, and safe from files beside a notebook."""

import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import jupyter_data_dir
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from traitlets import default

# At the memory limit Linux kills the process with the highest score: a kernel, never the server, which tells the
# student. Everything that runs in a kernel inherits the score.
FIRST_TO_GO = ["/usr/bin/choom", "--adjust", "1000", "--"]


class ClassKernel(ServerKernelManager):
    """A kernel of any language, started with our options."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command that starts the kernel."""
        return [*FIRST_TO_GO, *safe(super().format_kernel_cmd(extra_arguments))]


class ClassSpecs(KernelSpecManager):
    """Finds the course's kernels before those that a student added.

    A widespread command, `ipykernel install --user`, writes a "python3" into the home with the path of that day's
    environment. All notebooks would start with that one, and with none as soon as the environment is removed.
    """

    @default("kernel_dirs")
    def _courses_first(self) -> list[str]:
        found: list[str] = super()._kernel_dirs_default()
        own = str(Path(jupyter_data_dir(), "kernels"))
        return [*(place for place in found if place != own), own]


def safe(argv: list[str]) -> list[str]:
    """Return the command of a kernel so that Python's own modules are found before files in the notebook's folder.

    Otherwise a random.py there would replace Python's, and the kernel would end before it could say so: Lab then shows
    "Connecting" for ever. class_kernel/own_modules.py adds the folder again, at the end of the path.
    """
    if argv[:2] != [sys.executable, "-m"]:
        return argv
    return [argv[0], "-P", *argv[1:]]


def use_class_kernels(config: Any) -> None:
    """Make the server start kernels as ClassKernel, and find them as ClassSpecs."""
    config.ServerApp.kernel_spec_manager_class = "class_server.kernels.ClassSpecs"
    config.AsyncMappingKernelManager.kernel_manager_class = "class_server.kernels.ClassKernel"


def arguments_of(command: list[str]) -> list[str] | None:
    """Return the arguments of the course's Python kernel in the command that starts it; None for another kernel."""
    ours = [*FIRST_TO_GO, sys.executable, "-P", "-m", "ipykernel_launcher"]
    return command[len(ours) :] if command[: len(ours)] == ours else None
