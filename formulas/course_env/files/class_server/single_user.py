"""Start a person's server: ``jupyterhub-singleuser`` without the modules that only a hub needs.

``jupyterhub.singleuser`` imports the hub's pages and with them its database (SQLAlchemy, Alembic). This takes half a
second of processor time and 25 MB for each student, and none of it is ever called here. So during that import these
packages are replaced by stand-ins, which are removed afterwards: a later import gets the real package.
"""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: These packages, and all modules below them.
LEFT_OUT = ("alembic", "jupyterhub.handlers", "jupyterhub.orm", "sqlalchemy")


class Absent(Exception):
    """Replaces everything from a package that was left out. It is an exception, so ``except`` accepts it too."""


class StandIn(ModuleType):
    """A module in which everything is Absent."""

    __path__: list[str] = []  # noqa: RUF012 - it is a package, so that modules below it can be imported

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent


class _LeaveOut(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if _is_left_out(fullname) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: a stand-in has no code."""


def _is_left_out(name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in LEFT_OUT)


@contextmanager
def without_the_hub() -> Iterator[None]:
    """Replace imports of modules that only a hub needs by stand-ins while the block runs, then remove these."""
    finder = _LeaveOut()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if isinstance(module, StandIn):
                del sys.modules[name]
                parent, _, child = name.rpartition(".")
                if parent in sys.modules:
                    vars(sys.modules[parent]).pop(child, None)


def load() -> ModuleType:
    """Import jupyterhub.singleuser. If another JupyterHub needs a module that is left out here, import everything."""
    try:
        with without_the_hub():
            return importlib.import_module("jupyterhub.singleuser")
    except Exception:
        for name in [name for name in sys.modules if name.partition(".")[0] == "jupyterhub"]:
            del sys.modules[name]
        return importlib.import_module("jupyterhub.singleuser")


def main() -> None:
    """Start the server."""
    singleuser: Any = load()
    # It moves settings of before 2015, and writes into the home that it did. A full home would not start.
    application: Any = importlib.import_module("jupyter_core.application")
    application.JupyterApp.migrate_config = lambda _app: None
    sys.exit(singleuser.main())


if __name__ == "__main__":
    main()
