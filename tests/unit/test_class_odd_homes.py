"""Things in a home that must not prevent a server or a kernel of the course."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.lesson import FILES

pytestmark = pytest.mark.unit

#: Root may write everywhere. Without these rights it may do what its files' modes say.
PLAIN = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
VARIABLES = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")


def elsewhere(home: Path) -> bool:
    """Whether start-server makes Jupyter and IPython write outside this home."""
    text = (FILES / "start-server.sh").read_text(encoding="utf-8")
    lines = text[text.index("usable() {") : text.index("{%- if image %}")]
    shown = " ".join(f'"${{{name}-}}"' for name in VARIABLES)
    done = subprocess.run(
        [*PLAIN, "/bin/sh", "-euc", f"{lines}\nprintf '%s\\n' {shown}"],
        capture_output=True, text=True, check=True, timeout=20,
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
        ("mkdir -p .local/share/jupyter; chmod 555 .local .local/share", False),
        ("mkdir -p .local/share; chmod 555 .local", False),
        ("mkdir -p .local/share; chmod 555 .local/share", True),
        ("mkdir .local; chmod 555 .local", True),
        ("mkdir -p .local/share/jupyter; chmod 666 .local", True),
        ("mkdir -p .local/share/jupyter; chmod 555 .local/share/jupyter", True),
        ("mkdir .jupyter; chmod 555 .jupyter", True),
    ],
)
def test_odd_file_in_a_directorys_place_stops_no_work(tmp_path: Path, made: str, aside: bool) -> None:
    """Otherwise no notebook opens (~/.local), or each kernel ends (~/.ipython), with no word why."""
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["/bin/sh", "-euc", made], cwd=home, check=True, timeout=20)
    assert elsewhere(home) is aside
