"""Scripts that run with the modules of the course's servers."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tests.support.lesson import FILES


def inside(python: str, script: str, **variables: str) -> Any:
    """The last JSON output of a script that runs with our modules."""
    done = subprocess.run(
        [python, "-B", "-c", f"import json, sys\nsys.path.insert(0, {str(FILES)!r})\n{script}"],
        env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def said(python: str, code: str, *arguments: str) -> Any:
    """The JSON output of code that has the formula's modules on its path."""
    argv = [python, "-B", "-c", f"import sys; sys.path.insert(0, sys.argv[1])\n{code}", str(FILES), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
