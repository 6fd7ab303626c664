"""Which tabs Lab opens at a start: those of the last time, unless the server was killed then."""

import atexit
import contextlib
from pathlib import Path

from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir


def forget_after_a_kill() -> None:
    """Start without tabs if the last server was killed, for example at the memory limit; nothing else is removed.

    Otherwise Lab would open the notebook that caused this again, at each start.
    """
    mark = Path(jupyter_data_dir(), "class-server-runs")
    # A server that ended normally has removed it.
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
