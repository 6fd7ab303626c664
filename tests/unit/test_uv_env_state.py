"""The state that makes environments, with the real uv on wheels of the test, without an index."""

import gzip
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

import coursehub_steps
import coursehub_trial
import coursehub_uv
import pytest

from tests.support.loading import load
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.unit
REPO = Path(__file__).parents[2]


@pytest.fixture
def state(tmp_path, monkeypatch):
    module = load(REPO / "salt/_states/uv_env.py")
    served = tmp_path / "served"
    served.mkdir()
    # What Salt gives a state module: its options, and the files of the file roots.
    module.__opts__ = {"test": False}
    module.__salt__ = {
        "cp.cache_file": lambda source: str(path) if (path := served / source.removeprefix("salt://")).exists() else ""
    }
    module.served = served
    # Salt writes its log records at the end of the process, when pytest has closed the streams.
    monkeypatch.setattr(coursehub_steps.log, "disabled", True)
    # An account without rights cannot enter pytest's directories.
    monkeypatch.setattr(coursehub_trial, "walls", lambda: ())
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "arrays", "1.0")
    make_wheel(wheels, "arrays", "2.0")
    module.wheels = wheels
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    return module


def write_lock(state, version):
    lines = subprocess.run(
        [
            str(Path(sys.executable).parent / "uv"),
            *("pip", "compile", "--quiet", "--generate-hashes", "--no-header", "-"),
        ],
        input=f"arrays=={version}",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (state.served / "lock.txt").write_text(lines)


def apply(state, tmp_path, **options):
    return state.installed(
        str(tmp_path / "envs"),
        "salt://lock.txt",
        str(tmp_path / "env"),
        uv=str(Path(sys.executable).parent / "uv"),
        python=sys.executable,
        cache=str(tmp_path / "cache"),
        **{"imports": ["arrays"], **options},
    )


def served_version(tmp_path):
    code = "import arrays; print(arrays.version)"
    argv = [str(tmp_path / "env/bin/python"), "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_made_switched_and_then_left_alone(state, tmp_path):
    write_lock(state, "1.0")
    first = apply(state, tmp_path)
    assert first["result"] is True, first
    assert first["changes"]["environment"]["old"] is None
    assert served_version(tmp_path) == "1.0"
    second = apply(state, tmp_path)
    assert (second["result"], second["changes"]) == (True, {})
    write_lock(state, "2.0")
    before = (tmp_path / "env").resolve()
    assert apply(state, tmp_path)["changes"]["environment"]["old"] == before.name
    assert served_version(tmp_path) == "2.0"
    assert before.is_dir(), "the previous one stays for servers that still run"


def test_nobody_else_can_write_into_an_environment(state, tmp_path):
    write_lock(state, "1.0")
    assert apply(state, tmp_path)["result"]
    environment = (tmp_path / "env").readlink()
    writable = [path for path in environment.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert writable == []


def test_test_mode_touches_nothing(state, tmp_path):
    write_lock(state, "1.0")
    state.__opts__["test"] = True
    planned = apply(state, tmp_path)
    assert planned["result"] is None
    assert planned["changes"]
    assert not (tmp_path / "envs").exists()
    assert not (tmp_path / "env").exists()
    state.__opts__["test"] = False
    apply(state, tmp_path)
    state.__opts__["test"] = True
    again = apply(state, tmp_path)
    assert (again["result"], again["changes"]) == (True, {})


def test_an_index_that_is_gone_leaves_the_old_one_serving(state, tmp_path, monkeypatch):
    write_lock(state, "1.0")
    apply(state, tmp_path)
    write_lock(state, "2.0")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "nowhere"))
    failed = apply(state, tmp_path)
    assert failed["result"] is False
    assert failed["changes"] == {}
    assert "\n" not in failed["comment"]
    assert "goes on serving" in failed["comment"]
    assert served_version(tmp_path) == "1.0"
    monkeypatch.setenv("UV_FIND_LINKS", str(state.wheels))
    assert apply(state, tmp_path)["result"] is True
    assert served_version(tmp_path) == "2.0"


def test_a_wheel_with_another_hash_is_refused(state, tmp_path):
    write_lock(state, "1.0")
    lock = state.served / "lock.txt"
    head, _, digest = lock.read_text().strip().rpartition("sha256:")
    lock.write_text(f"{head}sha256:{digest[::-1]}\n")
    refused = apply(state, tmp_path)
    assert refused["result"] is False
    assert "nothing is served yet" in refused["comment"]
    assert not (tmp_path / "env").exists()


def test_an_import_that_fails_is_named_and_nothing_is_switched(state, tmp_path):
    write_lock(state, "1.0")
    apply(state, tmp_path)
    write_lock(state, "2.0")
    failed = apply(state, tmp_path, imports=["arrays", "nosuch"])
    assert failed["result"] is False
    assert "No module named 'nosuch'" in failed["comment"]
    assert served_version(tmp_path) == "1.0"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import libgl", "import arrays: ModuleNotFoundError: No module named 'libgl'"),
        ("raise ImportError('libGL.so.1:\\n  cannot open')", "import arrays: ImportError: libGL.so.1: cannot open"),
        ("raise SystemExit(0)", "import arrays: SystemExit: 0"),
        ("import os; os.kill(os.getpid(), 11)", "import arrays (ended by signal 11)"),
    ],
)
def test_the_module_is_named_whatever_its_import_does(state, tmp_path, code, says):
    write_lock(state, "1.0")
    apply(state, tmp_path, imports=[])
    module = next((tmp_path / "env").resolve().glob("lib/python*/site-packages/arrays.py"))
    # Not in place: uv hard-links it into its cache and other tests' environments.
    module.unlink()
    module.write_text(code)
    failed = apply(state, tmp_path, imports=["json", "arrays"])
    assert failed["result"] is False
    assert failed["comment"].startswith(f"trying its imports: {says}; ")


def test_added_import_is_tried_without_a_new_environment(state, tmp_path):
    """A teacher who names a module and forgets its package sees the error now, not in class."""
    write_lock(state, "1.0")
    apply(state, tmp_path)
    failed = apply(state, tmp_path, imports=["arrays", "nosuch"])
    assert (failed["result"], failed["changes"]) == (False, {})
    assert "No module named 'nosuch'; what serves stays as it is" in failed["comment"]
    assert served_version(tmp_path) == "1.0"
    assert apply(state, tmp_path, imports=["arrays", "nosuch"])["result"] is False, "it is not forgotten"
    state.__opts__["test"] = True
    planned = apply(state, tmp_path, imports=["arrays", "json"])
    assert (planned["result"], planned["changes"]) == (None, {"imports": "to try: json"})
    state.__opts__["test"] = False
    assert apply(state, tmp_path, imports=["arrays", "json"])["changes"] == {"imports": "tried: json"}
    for imports in (["json", "arrays"], ["arrays"]):
        assert apply(state, tmp_path, imports=imports)["changes"] == {}


def test_interrupted_environment_is_made_again(state, tmp_path):
    write_lock(state, "1.0")
    digest = apply(state, tmp_path)["changes"]["environment"]["new"]
    env = tmp_path / "envs" / digest
    (env / state.STAMP).unlink()
    next(env.glob("lib/python*/site-packages/arrays.py")).write_text("half-writ")
    assert apply(state, tmp_path)["result"] is True
    assert served_version(tmp_path) == "1.0"


def test_a_cache_that_a_killed_run_was_removing_is_not_used(state, tmp_path, monkeypatch):
    """A machine that died during a rebuild: no environment, and only a part of what uv had unpacked."""
    monkeypatch.setattr(state, "compile_in_background", lambda *_: None)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "somebody's"))
    write_lock(state, "1.0")
    assert apply(state, tmp_path)["result"]
    shutil.rmtree((tmp_path / "env").readlink())
    unpacked = [path for path in (tmp_path / "cache").rglob("*.py") if "arrays" in str(path)]
    assert unpacked
    for path in unpacked:
        path.unlink()
    again = apply(state, tmp_path)
    assert again["result"], again["comment"]
    assert served_version(tmp_path) == "1.0"


def test_old_ones_go_but_never_one_that_runs(state, tmp_path):
    digests = []
    running = None
    try:
        for version in ("1.0", "2.0"):
            write_lock(state, version)
            digests.append(apply(state, tmp_path, keep=1)["changes"]["environment"]["new"])
            if running is None:
                python = tmp_path / "envs" / digests[0] / "bin" / "python"
                running = subprocess.Popen([str(python), "-c", "input()"], stdin=subprocess.PIPE)
        assert (tmp_path / "envs" / digests[0]).is_dir()
    finally:
        running.kill()
        running.wait()
    make_wheel(state.wheels, "arrays", "3.0")
    write_lock(state, "3.0")
    assert set(apply(state, tmp_path, keep=1)["changes"]["removed"]) == set(digests)


def test_a_missing_lock_says_what_to_do(state, tmp_path):
    missing = apply(state, tmp_path)
    assert missing["result"] is False
    assert "salt://lock.txt is missing; make it (coursehub lock)" in missing["comment"]


def test_all_bytecode_is_compiled_in_the_end(state, tmp_path):
    write_lock(state, "1.0")
    apply(state, tmp_path, imports=[])
    env = (tmp_path / "env").resolve()
    if not (env / coursehub_uv.COMPILED).exists():
        pytest.skip("systemd compiles it in a unit of its own here")
    assert list(env.glob("lib/python*/site-packages/__pycache__/arrays.*.pyc"))
    assert not list((tmp_path / "cache").iterdir()), "the cache would outlive the environments it filled"


def test_scripts_are_compressed_in_the_end(state, tmp_path, monkeypatch):
    """A copy beside each, and the script stays: nginx sends whichever a browser takes."""
    write_lock(state, "1.0")
    apply(state, tmp_path, imports=[], bytecode=False)
    env = (tmp_path / "env").resolve()
    (env / "share/lab").mkdir(parents=True)
    script = "let a = 1;" * 500
    (env / "share/lab/main.0123.js").write_text(script)
    monkeypatch.setattr(coursehub_uv, "_unit", lambda _: "-")
    coursehub_uv.compile_in_background(env, tmp_path / "cache/none", Path(sys.executable), ["share/lab", "share/none"])
    deadline = time.monotonic() + 60
    while not (env / coursehub_uv.COMPILED).exists():
        assert time.monotonic() < deadline, "not compressed within a minute"
        time.sleep(0.1)
    assert gzip.decompress((env / "share/lab/main.0123.js.gz").read_bytes()).decode() == script
    assert (env / "share/lab/main.0123.js").read_text() == script


def test_bytecode_that_nobody_wants_is_not_compiled(state, tmp_path):
    write_lock(state, "1.0")
    assert apply(state, tmp_path, imports=[], bytecode=False)["result"]
    env = (tmp_path / "env").resolve()
    assert not list(env.rglob("arrays.*.pyc"))
    assert not list((tmp_path / "cache").iterdir())
    assert apply(state, tmp_path, imports=[], bytecode=False)["changes"] == {}


def test_what_the_imports_touch_is_compiled_at_once(state, tmp_path):
    """By root's own compiler: the account that tries the imports cannot write there."""
    write_lock(state, "1.0")
    assert apply(state, tmp_path, imports=["arrays"], bytecode=False)["result"]
    source = next((tmp_path / "env").resolve().glob("lib/python*/site-packages/arrays.py"))
    compiled = Path(importlib.util.cache_from_source(str(source)))
    header = compiled.read_bytes()[:16]
    assert header[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(header[8:12], "little") == int(source.stat().st_mtime)
    assert compiled.stat().st_mode & 0o777 == 0o644


def test_compiler_writes_beside_sources_of_the_environment_alone(tmp_path):
    """What asks it is a package's code."""
    inside, outside = tmp_path / "env" / "lib", tmp_path / "elsewhere"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
        (folder / "module.py").write_text("x = 1\n")
    (inside / "broken.py").write_text("x = (\n")
    (inside / "link.py").symlink_to(outside / "module.py")
    (inside / "text.txt").write_text("x = 1\n")
    asked = ["module.py", "../../elsewhere/module.py", "link.py", "broken.py", "text.txt", "nosuch.py", "\0", ""]
    done = subprocess.run(
        [sys.executable, *coursehub_trial.ISOLATED, "-c", coursehub_trial.COMPILE, str(inside)],
        input="".join(f"{inside}/{name}\n" for name in asked).encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"." * len(asked)
    assert [path.name.split(".")[0] for path in tmp_path.rglob("*.pyc")] == ["module"]
    assert not list(outside.rglob("*.pyc"))
