"""Tests a new environment: an account without rights imports once what the class will import.

A package's author decides what its import does. So the imports run as nobody: without network, without access to other
people's processes, and without write access outside a temporary home. Processes that they leave behind are killed. Root
only compiles the modules. It uses a Python outside the environment, which compiles a module without running it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from coursehub_steps import run

ACCOUNT = "nobody"
# With full paths: PATH begins with the environment, and a package may bring a program with any name.
WALLS = (
    *("/usr/bin/unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("/usr/bin/setpriv", f"--reuid={ACCOUNT}", "--regid=nogroup", "--clear-groups", "--no-new-privs"),
    *("--inh-caps=-all", "--bounding-set=-all"),
)
# For root's Python: ignore environment variables, the current directory and site-packages. It is never the
# environment's own bin/python, because a package may bring a file with that name.
ISOLATED = ("-I", "-S")

# Before a module is loaded, this asks root to compile it, so that it is compiled once and not twice. Each answer is one
# byte, and any thread may take it. The last line names the module, because most import errors do not.
TRY = """
import importlib, os, sys
from importlib.machinery import SourceFileLoader

asks, answers = int(sys.argv[1]), int(sys.argv[2])
load = SourceFileLoader.get_code

def compiled(loader, name):
    try:
        os.write(asks, os.fsencode(loader.path) + b"\\n")
        os.read(answers, 1)
    except OSError:
        pass
    return load(loader, name)

SourceFileLoader.get_code = compiled
for name in sys.argv[3:]:
    print("import", name, flush=True)
    try:
        importlib.import_module(name)
    except BaseException as problem:
        sys.exit(f"import {name}: {type(problem).__name__}: {' '.join(str(problem).split())}")
"""

# The requests are not trusted: only sources of the environment are compiled, each once. Every request gets an answer.
COMPILE = """
import os, py_compile, sys
from importlib.util import cache_from_source

within = os.path.realpath(sys.argv[1]) + os.sep
for line in open(0, errors="surrogateescape"):
    try:
        path = os.path.realpath(line.rstrip("\\n"))
        if path.startswith(within) and path.endswith(".py") and not os.path.exists(cache_from_source(path)):
            py_compile.compile(path, quiet=2)
    except Exception:
        pass
    os.write(1, b".")
"""


def preflight(target: Path, imports: Sequence[str], interpreter: Path) -> None:
    """Import what the class will import, and compile what that loads, so that the first sign-in is fast.

    ``interpreter`` is the Python that the environment was made with. Raises BuildError.
    """
    if not imports:
        return
    with _scratch() as home, _compiler(target, interpreter) as (asks, answers):
        run(
            [*walls(), target / "bin" / "python", "-W", "ignore", "-c", TRY, asks, answers, *imports],
            "trying its imports",
            env={"PATH": f"{target}/bin:/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "MPLBACKEND": "Agg"},
            pass_fds=(int(asks), int(answers)),
            cwd=home,
        )


def walls() -> Sequence[str]:
    """Return the command prefix that drops root's rights; empty if this process is not root."""
    return WALLS if os.geteuid() == 0 else ()


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """Make a temporary home for the account."""
    home = tempfile.mkdtemp(prefix="preflight-")
    try:
        if walls():
            nobody = pwd.getpwnam(ACCOUNT)
            os.chown(home, nobody.pw_uid, nobody.pw_gid)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _compiler(target: Path, interpreter: Path) -> Iterator[tuple[str, str]]:
    """Start the compiler for ``target``. Yields the descriptors for requests to it and for its answers."""
    asked, asks = os.pipe()
    answers, answered = os.pipe()
    argv = [str(interpreter), *ISOLATED, "-c", COMPILE, str(target / "lib")]
    try:
        # Without environment variables: SOURCE_DATE_EPOCH would change the kind of bytecode.
        compiler = subprocess.Popen(argv, stdin=asked, stdout=answered, stderr=subprocess.DEVNULL, umask=0o022, env={})
    finally:
        os.close(asked)
        os.close(answered)
    try:
        yield str(asks), str(answers)
    finally:
        os.close(asks)
        os.close(answers)
        try:
            compiler.wait(timeout=10)
        except subprocess.TimeoutExpired:
            # Without walls, a process that an import left behind may still hold the pipe open.
            compiler.kill()
            compiler.wait()
