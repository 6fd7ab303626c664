"""A trial of a new environment: what the class will import is imported once, by an account without rights.

Whoever publishes a package decides what its import does. So it runs as nobody: without network, other people's
processes or a file that it could write, and what it leaves running ends with it. Root only compiles the modules: by the
system's Python, which finds nothing of the environment and reads a module without running it.
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
WALLS = (
    *("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("setpriv", f"--reuid={ACCOUNT}", "--regid=nogroup", "--clear-groups", "--no-new-privs"),
    *("--inh-caps=-all", "--bounding-set=-all"),
)
# Alone in the world: no variables, no directory and no site-packages to import from. Never the environment's own
# bin/python: a package may bring a file of that name.
ISOLATED = ("-I", "-S")

# Before a module is loaded, its bytecode is asked for, so that it is compiled once and not twice. One byte is one
# answer, whichever thread takes it. The last line names the module, whatever its import does: most errors do not.
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

# Whatever is asked for, only sources of the environment are compiled, each once, and an answer comes in any case.
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
    """Import what the class will import, and compile what that touches: the first sign-in needs it.

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
    """Return the command that takes root's rights from the one behind it; who is not root has none to give up."""
    return WALLS if os.geteuid() == 0 else ()


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """Make a home for the account, and remove it."""
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
    """Start what writes bytecode into ``target``; yields the descriptors to ask it by and to read its answers from."""
    asked, asks = os.pipe()
    answers, answered = os.pipe()
    argv = [str(interpreter), *ISOLATED, "-c", COMPILE, str(target / "lib")]
    try:
        # No variables: SOURCE_DATE_EPOCH alone would make bytecode of another kind.
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
            # Without walls something may still run that holds the other end.
            compiler.kill()
            compiler.wait()
