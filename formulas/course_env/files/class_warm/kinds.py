"""What the images contain: the modules of a person's server, and those of a Python kernel."""

import contextlib
import importlib
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path


class Kind:
    """A program that starts from an image."""

    #: Variables that the program sets itself before it imports the modules.
    variables: dict[str, str] = {}  # noqa: RUF012 - a constant of the class

    def load(self, modules: Sequence[str]) -> None:
        """Import the modules of the program, and those that the course names."""
        raise NotImplementedError

    def again(self) -> None:
        """Import in a copy what the program begins with: some of it was removed, because it is one person's."""

    def run(self, argv: list[str]) -> None:
        """Run the program with the command that would start it."""
        raise NotImplementedError


def _extensions(directory: Path) -> list[str]:
    """Return the modules of an environment's server extensions, from their configuration files."""
    found: dict[str, bool] = {}
    for path in sorted(directory.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            document = json.loads(path.read_text(encoding="utf-8"))
            found.update(document.get("ServerApp", {}).get("jpserver_extensions", {}))
    return [name for name, wanted in found.items() if wanted]


class Server(Kind):
    """A person's server: class_server/single_user.py."""

    modules = (
        "class_server.single_user",
        *("jupyter_server.serverapp", "jupyterlab.labapp", "jupyterlab_server.handlers", "notebook.app"),
    )
    #: What its configuration imports, our own extensions, and what others import when somebody opens Lab.
    later = (
        *("class_server.activity", "class_server.exports", "class_server.languages", "class_server.layout"),
        *("class_server.programs", "class_server.ready", "class_server.sessions", "class_server.sockets"),
        *("class_server.without_ipython", "class_lab", "class_pull"),
        *("anyio.streams.tls", "babel.dates", "babel.numbers", "chardet", "encodings.unicode_escape", "httpcore"),
        *("ipykernel.kernelspec", "jinja2.ext", "jupyter_lsp.virtual_documents_shadow"),
        *("notebook.services.contents.manager", "tornado.platform.asyncio"),
    )

    def load(self, modules: Sequence[str]) -> None:
        """Import what a server imports before somebody uses it."""
        for name in (*self.modules, *modules):
            importlib.import_module(name)
        importlib.import_module("class_server.single_user").load()
        extensions = _extensions(Path(sys.prefix, "etc/jupyter/jupyter_server_config.d"))
        handlers = importlib.import_module("jupyter_server.serverapp").JUPYTER_SERVICE_HANDLERS.values()
        for name in (*self.later, *extensions, *(name for names in handlers for name in names or ())):
            # The server itself says what is wrong.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        with contextlib.suppress(Exception):
            # Reads the names of languages.
            importlib.import_module("jupyterlab_server.translation_utils").get_language_packs()
        with contextlib.suppress(Exception):
            # A wrong schema is the extension's fault; Lab says so when it asks for it.
            importlib.import_module("class_server.schemas").check_all(Path(sys.prefix, "share/jupyter"))

    def again(self) -> None:
        """Import the server."""
        importlib.import_module("class_server.single_user").load()

    def run(self, argv: list[str]) -> None:
        """Run `python -P single_user.py ARGUMENT...`."""
        from class_server.single_user import main

        sys.argv = argv[2:]
        main()


class Kernel(Kind):
    """A Python kernel with the modules that most notebooks import."""

    # As ipykernel itself does, but before matplotlib reads it.
    variables = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # noqa: RUF012

    #: Without these no kernel starts. Then what it imports after its start, mostly the debugger.
    needed = ("ipykernel.kernelapp", "ipykernel.zmqshell", "class_kernel.pipe", "class_kernel.ready")
    later = (
        *("ipykernel.debugger", "sqlite3", "tornado.platform.asyncio", "tornado.queues"),
        *("IPython.core.completerlib", "IPython.core.debugger", "IPython.extensions.storemagic", "pydoc"),
        *("class_kernel.own", "class_kernel.own_modules"),
    )

    def load(self, modules: Sequence[str]) -> None:
        """Import a kernel's modules, and those of the course that are installed."""
        for name in self.needed:
            importlib.import_module(name)
        modules = (*self.later, *modules)
        for name in modules:
            # A notebook that imports it gets the error again.
            with contextlib.suppress(Exception):
                importlib.import_module(name)

    def again(self) -> None:
        """Import the kernel."""
        for name in self.needed:
            importlib.import_module(name)

    def run(self, argv: list[str]) -> None:
        """Run `python -P -m ipykernel_launcher ARGUMENT...`."""
        from class_kernel.ready import run

        run(argv[4:])


KINDS = {"server": Server(), "kernel": Kernel()}


def try_it(kind: Kind) -> None:
    """Use what a copy needs: its modules, memory, threads, other processes."""
    kind.again()
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(len(bytearray(1 << 24)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if not child:
        os._exit(0)
    _, status = os.waitpid(child, 0)
    blocks = [bytearray(5000) for _ in range(2000)]
    if "numpy" in sys.modules:
        numpy = sys.modules["numpy"]
        assert float((numpy.ones((200, 200)) @ numpy.ones((200, 200))).sum()) == 200.0**3  # noqa: S101
    assert len(done) == 2 and not status and len(blocks) == 2000  # noqa: S101
