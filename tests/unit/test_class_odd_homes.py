"""Things in a home that must not prevent a server or a kernel of the course, and what older ones left there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.lesson import FILES
from tests.unit.test_class_lab import said

pytestmark = pytest.mark.unit

VARIABLES = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")


def elsewhere(home: Path) -> bool:
    """Whether start-server makes Jupyter and IPython write outside this home."""
    text = (FILES / "start-server.sh").read_text(encoding="utf-8")
    lines = text[text.index("usable() {") : text.index("{%- if image %}")]
    shown = " ".join(f'"${{{name}-}}"' for name in VARIABLES)
    done = subprocess.run(
        ["/bin/sh", "-euc", f"{lines}\nprintf '%s\\n' {shown}"], capture_output=True, text=True, check=True, timeout=20,
        env={"HOME": str(home), "PATH": os.defpath, "TMPDIR": str(home.parent)},
    )  # fmt: skip
    assert list(home.glob(".coursehub-room*")) == []
    places = done.stdout.split()
    assert len(places) in (0, 3)
    assert not any(place.startswith(str(home)) for place in places)
    return bool(places)


@pytest.mark.parametrize(
    ("made", "aside"),
    [
        ("true", False),
        ("mkdir -p .local/share/jupyter .jupyter/lab .ipython/profile_default", False),
        ("mkdir kept; ln -s kept .ipython", False),
        ("touch .jupyter", True),
        ("touch .local", True),
        ("mkdir -p .local/share; mkfifo .local/share/jupyter", True),
        ("ln -s /gone .ipython", True),
        ("mkdir .ipython; echo x > .ipython/profile_default", True),
    ],
)
def test_odd_file_in_a_directorys_place_stops_no_start(tmp_path: Path, made: str, aside: bool) -> None:
    """Otherwise Jupyter's server ends at each start, and its owner cannot get in to remove the file."""
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["/bin/sh", "-euc", made], cwd=home, check=True, timeout=20)
    assert elsewhere(home) is aside


SPECS = """
import json, os
from pathlib import Path
os.environ["HOME"] = sys.argv[2]
from class_server.kernels import ClassSpecs, use_class_kernels
from traitlets.config import Config
for name in ("python3", "mine"):
    place = Path(sys.argv[2], ".local/share/jupyter/kernels", name)
    place.mkdir(parents=True)
    argv = ["/opt/course/envs/gone/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (place / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
config = Config()
use_class_kernels(config)
found = ClassSpecs()
python = found.get_kernel_spec("python3").argv[0]
print(json.dumps({
    "class": config.ServerApp.kernel_spec_manager_class,
    "python3": "course" if python == "python" or python.startswith(sys.prefix) else python,
    "mine": found.get_kernel_spec("mine").argv[0],
    "listed": found.find_kernel_specs()["python3"].startswith(sys.prefix),
}))
"""


def test_the_courses_kernel_comes_before_one_of_the_same_name(course_python: str, tmp_path: Path) -> None:
    found = said(course_python, SPECS, str(tmp_path))
    assert found == {
        "class": "class_server.kernels.ClassSpecs", "python3": "course", "listed": True,
        "mine": "/opt/course/envs/gone/bin/python",
    }  # fmt: skip
