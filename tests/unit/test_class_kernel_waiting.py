"""What the waiting process does in its own interpreter; ipykernel is a stand-in here."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.support.lesson import FILES
from tests.support.loading import load

pytestmark = pytest.mark.unit
ready = load(FILES / "class_kernel" / "ready.py")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What each kernel that was launched saw."""
    seen: list[dict[str, Any]] = []

    def launch() -> None:
        seen.append({"argv": sys.argv, "environment": dict(os.environ), "directory": str(Path.cwd())})

    app = ModuleType("ipykernel.kernelapp")
    app.launch_new_instance = launch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", app)
    before, directory, argv = dict(os.environ), Path.cwd(), sys.argv
    yield seen
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(before)
    sys.argv = argv


def begin(monkeypatch: pytest.MonkeyPatch, orders: str, *modules: str) -> None:
    monkeypatch.setattr(sys, "argv", ["ready.py", *modules])
    monkeypatch.setattr(sys, "stdin", io.StringIO(orders))
    ready.main()


def test_kernel_gets_the_orders_and_nothing_else(
    kernels: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waiting process was started with the environment of the server, which no kernel may see."""
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    order = {"arguments": ["-f", "k.json"], "directory": str(tmp_path), "environment": {"HOME": "/home/ada"}}
    begin(monkeypatch, json.dumps(order))
    (seen,) = kernels
    assert seen["environment"] == {"HOME": "/home/ada"}
    assert seen["directory"] == str(tmp_path)
    assert seen["argv"][:3] == ["ipykernel_launcher", "-f", "k.json"]
    assert seen["argv"][3] == "--IPKernelApp.extra_extensions=class_kernel.ready"


def test_server_that_ended_needs_no_kernel(kernels: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, "")
    assert kernels == []


@pytest.mark.usefixtures("kernels")
def test_modules_are_loaded_before_anybody_needs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails is left out, and those after it are loaded. A backend that was chosen stays."""
    (tmp_path / "breaks_in_class.py").write_text("raise RuntimeError('no display')\n")
    (tmp_path / "works_in_class.py").write_text("import os\nSEEN = os.environ['MPLBACKEND']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    begin(monkeypatch, "", "breaks_in_class", "no_such_module", "works_in_class")
    assert sys.modules.pop("works_in_class").SEEN == "module://matplotlib_inline.backend_inline"
    assert "breaks_in_class" not in sys.modules
    os.environ["MPLBACKEND"] = "agg"
    begin(monkeypatch, "")
    assert os.environ["MPLBACKEND"] == "agg"


class Events:
    """IPython's events of one shell."""

    def __init__(self) -> None:
        self.before: list[Callable[[Any], None]] = []

    def register(self, name: str, call: Callable[[Any], None]) -> None:
        assert name == "pre_run_cell"
        self.before.append(call)

    def unregister(self, name: str, call: Callable[[Any], None]) -> None:
        assert name == "pre_run_cell"
        self.before.remove(call)

    def run(self, cell: str | None) -> None:
        for call in list(self.before):
            call(SimpleNamespace(raw_cell=cell))


def test_note_on_a_variable_comes_once(capsys: pytest.CaptureFixture[str]) -> None:
    events = Events()
    ready.load_ipython_extension(SimpleNamespace(events=events))
    for cell in (None, "print(1)", "x = os.environ['OMP_NUM_THREADS']", "# OMP_NUM_THREADS"):
        events.run(cell)
    assert capsys.readouterr().err == ""
    events.run("import os\nos.environ['OMP_NUM_THREADS'] = '1'")
    said = capsys.readouterr().err
    assert said.startswith("Note: numpy and matplotlib are loaded already, so OMP_NUM_THREADS has no effect in this")
    assert said.count("\n") == 1
    events.run("os.environ['OMP_NUM_THREADS'] = '2'")
    assert capsys.readouterr().err == ""
