"""The process that waits to become a kernel: it is the kernel that Jupyter would start, only sooner."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.support.course_modules import inside
from tests.support.lesson import FILES
from tests.support.loading import load
from tests.support.root import eventually

pytestmark = pytest.mark.unit

ready = load(FILES / "class_kernel" / "ready.py")

#: Starts a kernel with `ready` and asks it something; `before` runs between the two, `WHERE` is its working directory.
SCRIPT = """
import asyncio, os, time
from traitlets.config import Config
from class_server import ready
from class_server.kernels import ClassKernel

ready.FIRST_TO_GO[:] = []
import class_server.kernels
class_server.kernels.FIRST_TO_GO[:] = []
os.environ["COURSEHUB_OWN"] = os.path.join(os.environ["HOME"], "own")
os.makedirs(os.environ["COURSEHUB_OWN"], exist_ok=True)
config = Config()
ready.start_kernels_soon(config, "", ["json.tool", "no_such_module"], 0.01)
made = ready.ClassProvisioner.ready
ready.KernelProvisionerFactory.instance(config=config)

async def main():
    deadline = time.monotonic() + 30
    while made._process is None and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    waiting = made._process.pid if made._process else None
    BEFORE
    manager = ClassKernel(config=config, transport="ipc", kernel_name="python3",
                          connection_file=os.path.join(os.environ["JUPYTER_RUNTIME_DIR"], "k.json"))
    await manager.start_kernel(cwd=WHERE, env={**os.environ, "JPY_SESSION_NAME": "lab.ipynb", **EXTRA})
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=30)
    said = []
    code = '''
import os, sys, random
print(os.getpid(), os.getcwd(), os.environ["JPY_SESSION_NAME"], "json.tool" in sys.modules, os.environ["MPLBACKEND"])
'''
    def hear(message):
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])
    await client.execute_interactive(code, output_hook=hear, timeout=30)
    client.stop_channels()
    await manager.shutdown_kernel(now=True)
    pid, directory, name, loaded, backend = "".join(said).split()
    print(json.dumps({"same": int(pid) == waiting, "directory": directory, "name": name, "loaded": loaded == "True",
                      "backend": backend, "left": made._process is not None}))

asyncio.run(main())
"""


def kernel(python: str, tmp_path: Path, before: str = "", extra: str = "{}") -> dict[str, object]:
    where = tmp_path / "lab"
    where.mkdir(exist_ok=True)
    script = SCRIPT.replace("BEFORE", before or "pass").replace("WHERE", repr(str(where))).replace("EXTRA", extra)
    # A Unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as runtime:
        found = inside(python, script, HOME=str(tmp_path), JUPYTER_RUNTIME_DIR=runtime)
    assert found["directory"] == str(where)
    assert found["name"] == "lab.ipynb"
    assert found["backend"] == "module://matplotlib_inline.backend_inline"
    assert not found["left"]
    return dict(found)


def test_ready_process_becomes_the_first_kernel(course_python: str, tmp_path: Path) -> None:
    found = kernel(course_python, tmp_path)
    assert found["same"]
    assert found["loaded"]


@pytest.mark.parametrize(
    ("before", "extra"),
    [
        ("open(os.path.join(os.environ['COURSEHUB_OWN'], 'mine.py'), 'w').close()", "{}"),
        ("open(os.path.join(WHERE, 'matplotlibrc'), 'w').close()", "{}"),
        ("made._process.kill(); made._process.wait()", "{}"),
        ("", "{'MPLCONFIGDIR': '/tmp/other'}"),
    ],
    ids=["own-package", "matplotlibrc", "killed", "environment"],
)
def test_kernel_starts_as_ever_where_it_would_differ(
    course_python: str, tmp_path: Path, before: str, extra: str
) -> None:
    where = repr(str(tmp_path / "lab"))
    found = kernel(course_python, tmp_path, before.replace("WHERE", where), extra)
    assert not found["same"]
    assert not found["loaded"]


def test_no_process_is_ready_with_little_memory(course_python: str) -> None:
    script = """
from traitlets.config import Config
from class_server import ready
ready.start_kernels_soon(Config(), "", ["json"], 0)
print(json.dumps(ready.ClassProvisioner.ready is None))
"""
    assert inside(course_python, script, MEM_LIMIT=str(256 << 20))
    assert not inside(course_python, script, MEM_LIMIT=str(512 << 20))


def test_ready_process_ends_with_its_server(course_python: str, tmp_path: Path) -> None:
    script = """
import os, time
from traitlets.config import Config
from class_server import ready
ready.FIRST_TO_GO[:] = []
ready.start_kernels_soon(Config(), "", ["json"], 0)
while ready.ClassProvisioner.ready._process is None:
    time.sleep(0.02)
print(json.dumps(ready.ClassProvisioner.ready._process.pid), flush=True)
os._exit(0)
"""
    pid = inside(course_python, script, HOME=str(tmp_path))
    proc = Path("/proc", str(pid), "stat")

    def runs() -> bool:
        return proc.exists() and proc.read_text().rpartition(")")[2].split()[0] != "Z"

    eventually(lambda: not runs())


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ('os.environ["OMP_NUM_THREADS"] = "1"', "OMP_NUM_THREADS"),
        ("os.environ.setdefault('MPLBACKEND', 'agg')", "MPLBACKEND"),
        ("%env MKL_NUM_THREADS=1", "MKL_NUM_THREADS"),
        ("print(os.environ['MPLBACKEND'])", None),
        ("if os.environ['MPLBACKEND'] == 'agg': pass", None),
        ("# MPLBACKEND", None),
    ],
)
def test_note_is_for_cells_that_set_what_was_read_before(cell: str, name: str | None) -> None:
    found = ready.SETS.search(cell)
    assert (found and found[1]) == name
