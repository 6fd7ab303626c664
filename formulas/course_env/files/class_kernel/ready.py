"""A Python process that has imported what most notebooks import, and then becomes a kernel: `ready.py MODULE...`.

The server starts it before anybody needs a kernel (class_server/ready.py). Its standard input then says how to go on:
one JSON document with the kernel's arguments, working directory and environment. If the input ends without one, the
server has ended, and so does this process.
"""

import contextlib
import importlib
import json
import os
import re
import sys
from typing import Any

#: Variables that numpy and matplotlib read when they are imported.
READ_EARLY = "OMP_NUM_THREADS|OPENBLAS_NUM_THREADS|MKL_NUM_THREADS|MPLBACKEND|MPLCONFIGDIR"
SETS = re.compile(
    rf"""(?:environ\[|setdefault\(|putenv\(|%(?:set_)?env )\s*['"]?({READ_EARLY})['"]?(?:\]\s*=[^=]|\s*[,= ])"""
)


def load(names: list[str]) -> None:
    """Import the modules that are installed. If one fails, a notebook that imports it gets the error again."""
    # As ipykernel itself does, but before matplotlib reads it.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for name in ["ipykernel.kernelapp", *names]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def main() -> None:
    """Load, wait, and run the kernel."""
    load(sys.argv[1:])
    orders = sys.stdin.read()
    if not orders:
        return
    order = json.loads(orders)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["directory"])
    run(order["arguments"])


def run(arguments: list[str]) -> None:
    """Run the kernel with ipykernel_launcher's arguments."""
    sys.argv = ["ipykernel_launcher", *arguments, "--IPKernelApp.extra_extensions=class_kernel.ready"]
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()


def load_ipython_extension(shell: Any) -> None:
    """Say once if a cell sets a variable that was read before, so the same notebook does not differ without a word."""

    def look(info: Any) -> None:
        found = SETS.search(info.raw_cell or "")
        if found:
            shell.events.unregister("pre_run_cell", look)
            print(
                f"Note: numpy and matplotlib are loaded already, so {found[1]} has no effect in this kernel. "
                "It has after Kernel > Restart.",
                file=sys.stderr,
            )

    shell.events.register("pre_run_cell", look)


if __name__ == "__main__":
    main()
