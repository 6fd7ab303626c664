"""A student's own packages in a kernel: they come after all others, and a message names one that fails."""

import os
import sys
import traceback
from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Set this up; IPython calls it when the kernel has started."""
    own = os.environ.get("COURSEHUB_OWN", "")
    if own and own not in sys.path:
        sys.path.append(own)
    shell.events.register("post_run_cell", lambda result: _explain(result.error_in_exec, own))


def _explain(error: BaseException | None, own: str) -> None:
    """Print a message if one of the student's own packages did not import."""
    if not own or not isinstance(error, ImportError):
        return
    inside = [frame.filename for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(own)]
    if inside:
        name = inside[0].removeprefix(own).strip(os.sep).partition(os.sep)[0].removesuffix(".py")
        print(
            f"{name} is one of your own packages and does not work here. Install it again "
            f"(%pip install --force-reinstall --no-deps {name}) or remove it (%pip uninstall -y {name}).",
            file=sys.stderr,
        )
