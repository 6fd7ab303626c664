"""Makes an image: `make.py KIND FILE MODULE...` writes it to standard output, which is FILE, and tries it.

A child of this process has imported the modules and waits for an order. Its memory and registers are the image. Each
start from the image is a copy of the child that gets an order.
"""

import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

LIBRARY = Path(__file__).resolve().parent.parent
sys.path.append(str(LIBRARY))

from class_warm import anew, image  # noqa: E402
from class_warm.areas import NoImage  # noqa: E402
from class_warm.becoming import READ  # noqa: E402
from class_warm.begin import ORDER, TRIAL  # noqa: E402
from class_warm.kinds import KINDS, Kind, try_it  # noqa: E402
from class_warm.personal import MARK, Watch, forget  # noqa: E402
from class_warm.tracing import Traced  # noqa: E402

#: Seconds until the child waits for its order, and for the trial.
PATIENCE, TRIAL_PATIENCE = 10, 60
PR_SET_PDEATHSIG, PR_GET_TID_ADDRESS, GET_ROBUST_LIST = 1, 40, 274
SIGKILL = 9
TID_ADDRESS_BYTES = 8

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Make the image. Return 0 if it may be used."""
    name, path, *modules = sys.argv[1:]
    kind, given = KINDS[name], {name: os.environ[name] for name in image.VARIABLES if name in os.environ}
    try:
        variables = load(kind, given, modules)
    except (NoImage, OSError) as problem:
        return _none(name, problem)
    ready, tell = os.pipe()
    # Libraries end their own threads before a fork.
    child = os.fork()
    if not child:
        os.close(ready)
        return wait(kind, tell)
    os.close(tell)
    try:
        described = {
            "variables": variables,
            "sources": [image.known(source) for source in _sources()],
            "tid_address": int.from_bytes(os.read(ready, TID_ADDRESS_BYTES), "little"),
            "robust_list": _robust_list(child),
        }
        with os.fdopen(os.dup(1), "wb") as output:
            _write(child, described, output)
        begin = [os.path.realpath(sys.executable), "-I", "-S", str(LIBRARY / "class_warm" / "begin.py"), path]
        subprocess.run([*begin, sys.executable, TRIAL], env=given, cwd="/", timeout=TRIAL_PATIENCE, check=True)
    except (NoImage, OSError, subprocess.SubprocessError) as problem:
        return _none(name, problem)
    finally:
        os.kill(child, SIGKILL)
        os.waitpid(child, 0)
    return 0


def load(kind: Kind, given: dict[str, str], modules: list[str]) -> dict[str, str | None]:
    """Import the modules, for nobody; return the variables that must be set as they are. Raises NoImage, OSError."""
    home = Path(tempfile.mkdtemp(), MARK)
    home.mkdir()
    os.environ.clear()
    begun = {**given, **kind.variables, "HOME": str(home), "USER": MARK, "LOGNAME": MARK}
    os.environ.update(begun)
    os.chdir(home)
    with Watch() as watch:
        kind.load(modules)
    watch.check_random()
    if threading.active_count() != 1:
        raise NoImage("a package starts a thread when it is imported")
    read = {**watch.variables(), **{name: value for name, value in given.items() if name.startswith(image.READ_EARLY)}}
    forget(watch.readers_of_own())
    # A program adds it when it needs it.
    sys.path[:] = [place for place in sys.path if place != str(LIBRARY)]
    anew.prepare(begun, watch.numbered)
    gc.collect()
    # Objects that the collector does not look at stay shared.
    gc.freeze()
    sys.stdout.flush()
    # What the program sets itself is not set where it starts.
    return {name: given.get(name) if name in kind.variables else value for name, value in read.items()}


def wait(kind: Kind, tell: int) -> int:
    """Wait for an order, in the child; run the program, in a copy of it."""
    _libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    address = ctypes.c_uint64()
    _libc.prctl(PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0)
    os.write(tell, address.value.to_bytes(TID_ADDRESS_BYTES, "little"))
    os.close(tell)
    reads, _ = os.pipe()
    os.dup2(reads, ORDER)
    os.close(reads)
    argv = anew.wait(ORDER)
    if argv[1:] == [TRIAL]:
        try_it(kind)
    else:
        kind.run(argv)
    return 0


def _write(child: int, described: dict[str, Any], output: BinaryIO) -> None:
    if not described["tid_address"]:
        raise NoImage("this machine's kernel does not say where the number of a thread is kept")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with Traced(child) as process:
            registers = process.registers()
            if (registers["orig_rax"], registers["rdi"]) == (READ, ORDER):
                image.write(process, described, output)
                return
        time.sleep(0.02)
    raise NoImage("the process did not wait for an order")


def _robust_list(child: int) -> tuple[int, int]:
    """Return address and size of the list of a process's locks (get_robust_list(2)). Raises NoImage."""
    head, size = ctypes.c_uint64(), ctypes.c_uint64()
    if _libc.syscall(GET_ROBUST_LIST, child, ctypes.byref(head), ctypes.byref(size)):
        raise NoImage("this machine's kernel does not say where the list of locks is")
    return head.value, size.value


def _sources() -> list[str]:
    """Return our own files that are in the image, and one of Python's: with an upgrade they change."""
    files = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    return sorted({path for path in files if path.startswith(f"{LIBRARY}/")} | {os.__file__})


def _none(kind: str, problem: Exception) -> int:
    print(f"coursehub: no image of the {kind}: {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
