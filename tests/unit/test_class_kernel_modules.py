"""Files named like modules beside a notebook, with a real kernel of a course's environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from tests.support.lesson import FILES

pytestmark = pytest.mark.unit

RUN = """
import json, sys
from jupyter_client.manager import KernelManager
sys.path.insert(0, sys.argv[1])
from class_server.kernels import safe

class Kernel(KernelManager):
    def format_kernel_cmd(self, extra_arguments=None):
        return safe(super().format_kernel_cmd(extra_arguments))

kernel = Kernel()
kernel.start_kernel(cwd=sys.argv[2])
client = kernel.client()
client.start_channels()
client.wait_for_ready(timeout=60)
told = []
for code in json.loads(sys.argv[3]):
    said = {"stdout": "", "stderr": ""}
    def hook(message):
        if message["msg_type"] == "stream":
            said[message["content"]["name"]] += message["content"]["text"]
    answer = client.execute_interactive(code, output_hook=hook, timeout=60)["content"]
    told.append([answer["status"], said["stdout"].strip(), said["stderr"].strip()])
client.stop_channels()
kernel.shutdown_kernel(now=True)
print(json.dumps(told))
"""


@pytest.fixture
def run(course_python: str, tmp_path: Path) -> Any:
    """Runs cells in a kernel that starts in a folder, with our configuration."""
    config = tmp_path / "etc"
    config.mkdir()
    text = (FILES / "ipython_kernel_config.py").read_text().replace("{{ lib }}", str(FILES))
    (config / "ipython_kernel_config.py").write_text(text)
    folder = tmp_path / "lab"
    folder.mkdir()

    def cells(*code: str) -> list[list[str]]:
        home = tmp_path / "home"
        (home / ".ipython/profile_default").mkdir(parents=True, exist_ok=True)
        (home / ".ipython/profile_default/ipython_kernel_config.py").write_text(text)
        done = subprocess.run(
            [course_python, "-B", "-c", RUN, str(FILES), str(folder), json.dumps(code)],
            env={**os.environ, "HOME": str(home), "JUPYTER_RUNTIME_DIR": str(home)},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        told: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
        return told

    return folder, cells


def test_kernel_starts_beside_files_named_as_modules(run: Any) -> None:
    """Each of these kept a kernel at "Connecting" for ever, or broke it at the first plot."""
    folder, cells = run
    for name in ("random", "socket", "json", "tempfile", "asyncio", "traitlets", "ipykernel_launcher", "mine"):
        (folder / f"{name}.py").write_text("x = 5\n" if name == "mine" else "raise RuntimeError('mine')\n")
    for name in ("tornado", "zmq", "IPython"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('mine')\n")
    first, again = cells("import mine, random, tornado, math\nprint(mine.x, random.__name__)", "import random")
    assert first[:2] == ["ok", "5 random"]
    notes = first[2].splitlines()
    assert len(notes) == 2
    assert notes[0].startswith("Note: random.py in this folder has the name of Python's own module random")
    assert notes[1].startswith("Note: tornado in this folder has the name of the course's package tornado")
    assert again == ["ok", "", ""], "it is said once"


def test_kernel_notes_nothing_of_ones_own_modules(run: Any) -> None:
    folder, cells = run
    (folder / "helper.py").write_text("x = 1\n")
    assert cells("import helper, random\nprint(helper.x)", "%time pass", "1 +", "import nowhere_to_be_found") == [
        ["ok", "1", ""], ["ok", ANY, ""], ["error", "", ""], ["error", "", ""],
    ]  # fmt: skip
