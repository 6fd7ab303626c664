"""What every copy of an image makes anew: whatever belongs to one process, or must be different in each."""

import ctypes
import gc
import marshal
import os
import random
import sys
import threading
import time
from collections.abc import Set
from typing import Any

from class_warm.personal import MARK, Kept

#: What ``prepare`` found in the image.
_generators: list[Any] = []
_kept = Kept()
_variables: dict[str, str] = {}


def prepare(before: dict[str, str], numbered: Set[str]) -> None:
    """Find, in the image, what copies must make anew. Raises NoImage.

    ``before``: the variables before the imports; ``numbered``: modules that asked for the process's number.
    """
    _variables.update((name, value) for name, value in os.environ.items() if before.get(name) != value)
    _generators[:] = [one for one in gc.get_objects() if isinstance(one, _kinds())]
    _kept.find(numbered)


def wait(order: int) -> list[str]:
    """Wait in the image until a copy gets its order on a descriptor; make everything anew there; return its argv."""
    said = b""
    while part := os.read(order, 1 << 16):
        said += part
    found = marshal.loads(said)  # noqa: S302 - from this same process
    os.closerange(order, found["last"] + 1)
    # As after a fork: threads, locks, and what modules registered for that case.
    ctypes.pythonapi.PyOS_BeforeFork()
    ctypes.pythonapi.PyOS_AfterFork_Child()
    os.waitpid(found["helper"], 0)
    main: Any = threading.main_thread()
    main._set_native_id()
    home = os.environ["HOME"]
    os.environ.clear()
    # Modules set variables too.
    os.environ.update({**_variables, **found["environment"]})
    time.tzset()
    sys.orig_argv[:] = found["argv"]
    make_secrets()
    # The longer one first: the home's path contains the mark.
    _kept.exchange({home: os.environ.get("HOME", "/"), MARK: os.environ.get("USER", "")})
    return list(found["argv"])


def make_secrets() -> None:
    """Give random generators and keys new values."""
    for one in _generators:
        if isinstance(one, random.Random):
            one.seed()
        elif hasattr(one, "seed"):
            one.seed(None)
        else:
            one.state = type(one)().state
    if "multiprocessing.process" in sys.modules:
        process: Any = sys.modules["multiprocessing.process"]
        process.current_process().authkey = os.urandom(32)
        process._current_process._config.pop("tempdir", None)
    if "tempfile" in sys.modules:
        tempfile: Any = sys.modules["tempfile"]
        tempfile._name_sequence = tempfile.tempdir = None
    if "uuid" in sys.modules:
        uuid: Any = sys.modules["uuid"]
        uuid._node = uuid._last_timestamp = None


def _kinds() -> tuple[type, ...]:
    """Return the types of random generators that are loaded."""
    numpy: Any = sys.modules.get("numpy.random")
    # Generator has no state of its own: its BitGenerator does.
    return (random.Random, *((numpy.RandomState, numpy.BitGenerator) if numpy else ()))
