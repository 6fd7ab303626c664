"""What unit tests of the hub's own programs share: an environment is made once for all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

HUB_LOCK = Path(__file__).parents[2] / "formulas/jupyterhub/files/hub.txt"


@pytest.fixture(scope="session")
def hub_python(tmp_path_factory):
    """An environment with exactly what the hub runs."""
    home = tmp_path_factory.mktemp("hub")
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    argv = [uv, "pip", "install", "--quiet", "--python", str(home / "bin/python"), "--require-hashes", "--no-deps"]
    done = subprocess.run([*argv, "-r", str(HUB_LOCK)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the hub's lock could not be installed: {done.stderr.strip()[-300:]}"
    return str(home / "bin/python")
