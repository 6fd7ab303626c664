"""Which tabs Lab opens at a start: those of last time, unless what they held ended the server."""

import atexit
import contextlib
from pathlib import Path

from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir


def forget_after_a_kill() -> None:
    """Begin without tabs when the last server was killed, as at the limit of memory; tabs are all that is forgotten.

    Lab would open the very notebook again that ended it, at each start.
    """
    mark = Path(jupyter_data_dir(), "class-server-runs")
    # A server that could end by itself took it away.
    if mark.exists():
        for layout in Path(jupyter_config_dir(), "lab", "workspaces").glob("*.jupyterlab-workspace"):
            with contextlib.suppress(OSError):
                layout.unlink()
    with contextlib.suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    atexit.register(_end, mark)


def _end(mark: Path) -> None:
    with contextlib.suppress(OSError):
        mark.unlink(missing_ok=True)
