"""Finds what modules kept, while they were imported, of the person for whom they were imported, and exchanges it.

An image is for everybody. So it is made for a person who does not exist, whose home, name and folder contain the word
MARK. Whatever contains that word afterwards would be wrong in another person's process, and is exchanged there. What a
module read from a variable that each process has of its own would be wrong too: such modules are imported again in each
copy. And what a module keeps of the number of its process is exchanged: it is given one that can be told from others.
"""

import functools
import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path, PurePath
from types import CellType, FrameType, FunctionType, ModuleType
from typing import Any

from class_warm.areas import NoImage

MARK = "coursehub-nobody"
#: Variables that may differ, because what was kept of them contains MARK.
MARKED = ("HOME", "LOGNAME", "PWD", "USER")
#: Variables that may differ, because nothing that reads them early keeps them.
HARMLESS = ("PATH",)
#: Beginnings of the names of variables that each process has of its own.
OWN = ("COURSEHUB_", "CPU_", "JPY_", "JUPYTERHUB_", "MEM_")
#: Those that are the hub's. What registers metrics cannot be imported again.
OF_HUB = (
    *("JUPYTERHUB_METRICS_PREFIX", "JUPYTERHUB_ALLOW_TOKEN_IN_URL", "JUPYTERHUB_ALLOW_WEBSOCKET_COOKIE_AUTH"),
    *("JUPYTERHUB_SERVER_SPAWN_DURATION_SECONDS_BUCKETS", "JUPYTERHUB_SERVER_STOP_DURATION_SECONDS_BUCKETS"),
)
#: Modules through which others read variables, or ask for random bytes.
_BETWEEN = (
    *("os", "collections.abc", "posixpath", "genericpath", "pathlib", "pathlib._local", __name__),
    *("random", "secrets", "uuid", "tempfile"),
)
#: Modules that keep random bytes, which ``anew`` exchanges; the last forgets its own.
KEEP_RANDOM = ("multiprocessing.process", "numpy.random", "jupyter_client.session")


class Digits(str):
    """The number of this process as text."""

    __slots__ = ()


class Number(int):
    """The number of this process, as modules get it while they are imported. A constant with its value is no Number."""

    __slots__ = ()

    def __repr__(self) -> str:
        return Digits(int.__repr__(self))

    __str__ = __repr__

    def __format__(self, wanted: str) -> str:
        text = int.__format__(self, wanted)
        return Digits(text) if text == repr(self) else text


class Watch:
    """Notes, while the block runs, which variables modules read, and who asks for random bytes or the own number."""

    def __init__(self) -> None:
        #: Names of modules by the variable that they read, and what it was when it was read first; None: not set.
        self.readers: dict[str, set[str]] = {}
        self._values: dict[str, str | None] = {}
        #: Names of modules.
        self.askers: set[str] = set()
        self.numbered: set[str] = set()

    def __enter__(self) -> "Watch":
        import random

        kind = type(os.environ)
        self._before: list[tuple[Any, str, Any]] = [
            (kind, "__getitem__", kind.__getitem__),
            (os, "urandom", os.urandom),
            (os, "getpid", os.getpid),
            (random, "_urandom", os.urandom),
        ]
        read, ask, number = kind.__getitem__, os.urandom, os.getpid

        def getitem(environment: Any, name: Any) -> Any:
            word = os.fsdecode(name)
            self.readers.setdefault(word, set()).add(_caller())
            try:
                value = read(environment, name)
            except KeyError:
                self._values.setdefault(word, None)
                raise
            self._values.setdefault(word, os.fsdecode(value))
            return value

        def urandom(size: int) -> bytes:
            self.askers.add(_caller())
            return ask(size)

        def getpid() -> int:
            if os.getpid is not getpid:
                # A module kept this function.
                return number()
            self.numbered.add(_caller())
            return Number(number())

        os.getpid = getpid
        kind.__getitem__ = getitem  # type: ignore[method-assign]
        os.urandom = random._urandom = urandom  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_: object) -> None:
        for place, name, before in self._before:
            setattr(place, name, before)

    def variables(self) -> dict[str, str | None]:
        """Return the variables that must be, wherever the image is used, as they were read first. None: not set."""
        free = (*MARKED, *HARMLESS)
        return {name: value for name, value in self._values.items() if name not in free and not _own(name)}

    def readers_of_own(self) -> set[str]:
        """Return the modules that read variables that each process has of its own."""
        return set().union(*(readers for name, readers in self.readers.items() if _own(name)))

    def check_random(self) -> None:
        """Raise NoImage if a module keeps random bytes that nothing would exchange."""
        for name in self.askers:
            if not name.startswith(KEEP_RANDOM):
                raise NoImage(f"the module {name} uses random bytes while it is imported")


def _own(name: str) -> bool:
    return name.startswith(OWN) and name not in OF_HUB


def _caller() -> str:
    """Return the module on whose behalf something is asked."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__") in _BETWEEN:
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__"))
    if name == "importlib._bootstrap":
        # A module in C has no frame of its own; the importer's has the module as an argument.
        return next((one.__name__ for one in frame.f_locals.get("args", ()) if isinstance(one, ModuleType)), name)
    return name


def forget(names: Iterable[str]) -> None:
    """Remove modules, and those that took something from them, so that the next import runs them again."""
    gone = set(names) & sys.modules.keys()
    while True:
        takers = {
            name
            for name, module in sys.modules.items()
            if name not in gone
            and isinstance(module, ModuleType)
            and any(_of(one, gone) for one in vars(module).values())
        }
        if not takers:
            break
        gone |= takers
    for name in gone:
        del sys.modules[name]
        parent, _, child = name.rpartition(".")
        if parent in sys.modules:
            vars(sys.modules[parent]).pop(child, None)


def _of(value: Any, modules: set[str]) -> bool:
    """Return whether a value was defined in one of the modules. Packages have their modules as attributes anyway."""
    return not isinstance(value, ModuleType) and getattr(value, "__module__", None) in modules


class Kept:
    """All places that keep something of the person who does not exist."""

    def __init__(self) -> None:
        #: What is in a place, and how to write it.
        self._places: list[tuple[Any, Callable[[Any], None]]] = []
        self._caches: list[Any] = []

    def find(self, numbered: Set[str]) -> None:
        """Search all objects; ``numbered``: modules that asked for the process's number.

        Raises NoImage for a place that cannot be written, or if such a module has the same number in another form.
        """
        _check_numbers(numbered)
        everything = gc.get_objects()
        skipped = {id(os.environ._data), id(sys.modules[__name__].__dict__)}  # type: ignore[attr-defined]
        # A class's own dictionary must not be written directly.
        classes = {
            id(one): holder
            for holder in everything
            if isinstance(holder, type)
            for one in gc.get_referents(holder)
            if isinstance(one, dict)
        }
        for holder in everything:
            for place in _inside(holder):
                if id(place) not in skipped and any(_marked(one) for one in gc.get_referents(place)):
                    self._note(classes.get(id(place), place))

    def exchange(self, words: dict[str, str]) -> None:
        """Replace words in all places, and the process's number."""
        for cache in self._caches:
            cache.cache_clear()
        for value, put in self._places:
            put(_exchanged(value, words))

    def _note(self, place: Any) -> None:
        if isinstance(place, (tuple, PurePath, FrameType)):
            # What contains it is noted too.
            return
        if isinstance(place, functools._lru_cache_wrapper):
            self._caches.append(place)
        elif isinstance(place, (dict, list)):
            for key, value in list(place.items() if isinstance(place, dict) else enumerate(place)):
                if _marked(value):
                    self._places.append((value, functools.partial(place.__setitem__, key)))
                if isinstance(place, dict) and _marked(key):
                    self._places.append((key, functools.partial(_rename, place, key)))
        elif isinstance(place, CellType):
            self._places.append((place.cell_contents, functools.partial(setattr, place, "cell_contents")))
        elif isinstance(place, FunctionType) and _marked(place.__defaults__):
            self._places.append((place.__defaults__, functools.partial(setattr, place, "__defaults__")))
        elif hasattr(place, "__dict__") and (found := [(k, v) for k, v in vars(place).items() if _marked(v)]):
            for name, value in found:
                self._places.append((value, functools.partial(setattr, place, name)))
        else:
            raise NoImage(
                f"a {type(place).__name__} of {getattr(place, '__module__', 'a package')} keeps a home directory, "
                "a name or the number of its process"
            )


def _check_numbers(modules: Set[str]) -> None:
    """Raise NoImage if modules have this process's number in a form that hides whether it is a constant.

    The next process that makes an image has another number.
    """
    hidden = (os.getpid(), str(os.getpid()))
    for name in modules & sys.modules.keys():
        known = vars(sys.modules[name])
        for place in (known, *known.values()):
            values = place.values() if isinstance(place, dict) else place if isinstance(place, list) else ()
            if any(type(value) in (int, str) and value in hidden for value in list(values)):
                raise NoImage(f"the module {name} has {hidden[1]}, which is a constant or the number of its process")


def _inside(holder: Any) -> Iterator[Any]:
    """Yield an object and the containers below it of which the garbage collector keeps no list."""
    yield holder
    for one in gc.get_referents(holder):
        if isinstance(one, dict) and not gc.is_tracked(one):
            yield from _inside(one)


def _marked(value: Any) -> bool:
    if type(value) in (Number, Digits):
        return True
    if type(value) is str:
        return MARK in value
    if type(value) is bytes:
        return MARK.encode() in value
    if type(value) is tuple:
        return any(_marked(one) for one in value)
    return isinstance(value, PurePath) and MARK in str(value)


def _rename(place: dict[Any, Any], old: Any, new: Any) -> None:
    place[new] = place.pop(old)


def _exchanged(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, Number):
        return os.getpid()
    if isinstance(value, Digits):
        return str(os.getpid())
    if isinstance(value, tuple):
        return tuple(_exchanged(one, words) for one in value)
    if isinstance(value, bytes):
        return os.fsencode(_exchanged(os.fsdecode(value), words))
    if isinstance(value, PurePath):
        return Path(_exchanged(str(value), words))
    if isinstance(value, str):
        for old, new in words.items():
            value = value.replace(old, new)
    return value
