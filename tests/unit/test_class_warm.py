"""Copies of an image: each is what its ordinary start would be, and nothing that must differ is the same in two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from class_warm import seal

from tests.support.lesson import FILES
from tests.support.warm_images import BEGIN, SYSTEM, Warm, environment, environment_of, make, run, works_here

pytestmark = [pytest.mark.unit, pytest.mark.skipif(not works_here(), reason="images are for x86-64")]

MODULES = ("random", "uuid", "tempfile", "multiprocessing", "threading", "json", "socket", "ctypes", "subprocess")


@pytest.fixture(scope="module")
def warm(course_python: str, tmp_path_factory: pytest.TempPathFactory) -> Warm:
    """An image with some modules of Python."""
    made = make(course_python, tmp_path_factory.mktemp("warm") / "script.image", *MODULES)
    assert (made.code, made.said) == (0, "")
    return made


#: What must be different in each process.
DIFFERENT = """
import json, multiprocessing, os, random, sys, tempfile, uuid
print(json.dumps({
    "random": random.random(), "another": random.Random().random(), "uuid": uuid.uuid4().hex, "uuid1": uuid.uuid1().hex,
    "name": next(tempfile._get_candidate_names()), "key": multiprocessing.current_process().authkey.hex(),
    "bytes": os.urandom(8).hex(), "pid": os.getpid(), "shuffled": random.sample(range(10**9), 3),
}))
"""


def test_eight_copies_have_nothing_random_in_common(warm: Warm) -> None:
    found = [json.loads(warm.says(DIFFERENT)) for _ in range(8)]
    for name in found[0]:
        assert len({str(one[name]) for one in found}) == 8, name


#: What is the same for a copy and an ordinary start. A process cannot look at itself without changing some of it.
LIKE = """
import json, os, resource, signal, sys, threading, time
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
kept = ("Name Umask Uid Gid Groups Threads SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp "
        "TracerPid Cpus_allowed_list Mems_allowed_list").split()
print(json.dumps({
    **{name: status[name].strip() for name in kept if name in status},
    "limits": [resource.getrlimit(one) for one in range(16)],
    "namespaces": sorted(os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")),
    "cgroup": open("/proc/self/cgroup").read(),
    "mounts": open("/proc/self/mountinfo").read(),
    "oom": open("/proc/self/oom_score_adj").read(),
    "words": open("/proc/self/cmdline").read(),
    "variables": sorted(os.environ.items()),
    "shown": sorted(word for word in open("/proc/self/environ").read().split(chr(0)) if word),
    "open": sorted(name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")),
    "directory": os.getcwd(), "session": os.getsid(0) == os.getsid(os.getppid()), "group": os.getpgid(0) != os.getpid(),
    "parent": os.getppid(), "argv": sys.argv, "words of python": sys.orig_argv, "python": sys.executable,
    "path": sys.path, "prefix": sys.prefix, "encoding": [sys.stdout.encoding, sys.getfilesystemencoding()],
    "thread": threading.main_thread().native_id == os.getpid() == threading.get_native_id(),
    "zone": time.strftime("%Z", time.localtime(0)), "handler": str(signal.getsignal(signal.SIGINT)),
    "nice": os.nice(0), "policy": os.sched_getscheduler(0), "alarm": signal.getitimer(signal.ITIMER_REAL),
}))
"""


def test_a_copy_is_what_an_ordinary_start_is(warm: Warm, tmp_path: Path) -> None:
    """Everything that the kernel and Python know of a process, with limits that are not the usual ones."""
    before = "umask 027; ulimit -n 700; ulimit -s 4096; ulimit -c 0; trap '' HUP; echo 300 > /proc/self/oom_score_adj; "
    found = []
    for command in (warm.ordinary(LIKE, "a word"), warm.command(LIKE, "a word")):
        done = subprocess.run(
            ["/bin/sh", "-c", f'{before} cd {tmp_path}; exec nice -n 3 "$@"', "sh", *command],
            env=environment(TZ="Asia/Tokyo", HOME=str(tmp_path), PWD=str(tmp_path)),
            capture_output=True, text=True, check=True, timeout=150,
        )  # fmt: skip
        found.append(json.loads(done.stdout))
    ordinary, copy = found
    assert ordinary["zone"] == "JST"
    assert {name: copy[name] for name in ordinary} == ordinary


def test_a_copy_ends_as_its_program_does(warm: Warm) -> None:
    assert warm.run("raise SystemExit(7)").returncode == 7
    failed = warm.run("raise ValueError('why')")
    assert failed.returncode == 1
    assert failed.stderr.endswith("ValueError: why\n")
    assert warm.says("import atexit; atexit.register(print, 'the end')") == "the end"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 5)])
def test_signals_reach_a_copy(warm: Warm, number: int, code: int) -> None:
    """Its handler for an interrupt is at another address than that of the process that it was."""
    script = """
import sys, time
try:
    print("runs", flush=True)
    # Python does not notice a signal that comes just before a long sleep begins.
    for _ in range(1000):
        time.sleep(0.1)
except KeyboardInterrupt:
    sys.exit(5)
"""
    process = subprocess.Popen(warm.command(script), env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "runs\n"
    process.send_signal(number)
    assert process.wait(timeout=90) == code


def test_a_copy_can_do_what_programs_do(warm: Warm) -> None:
    """Threads, other processes, much memory, deep recursion, and libraries that are loaded later."""
    script = """
import concurrent.futures, multiprocessing, sqlite3, subprocess, sys, zlib
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda n: len(bytearray(n)), [1 << 22] * 16)) >> 22)
print(subprocess.run(["echo", "hello"], capture_output=True, text=True, check=True).stdout.strip())
blocks = [bytearray(3000 + n) for n in range(20000)]
del blocks
print(sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0])
sys.setrecursionlimit(20000)
def deep(n):
    return deep(n - 1) if n else "deep"
print(deep(15000))
print(multiprocessing.get_context("fork").Pool(2).map(abs, [-3]))
"""
    assert warm.says(script).split("\n") == ["16", "hello", "42", "deep", "[3]"]


def test_copies_share_memory(warm: Warm) -> None:
    """Of what is in the image, hardly anything is a copy's own after its start."""
    script = """
import re, sys
found = dict(re.findall(r"^(\\w+): +(\\d+) kB", open("/proc/self/smaps_rollup").read(), re.M))
print(int(found["Anonymous"]) / int(found["Rss"]))
"""
    assert float(warm.says(script).split()[-1]) < 0.6


def test_children_of_a_copy_are_reaped(warm: Warm) -> None:
    """The helper that made the copy leaves no zombie and traces nobody."""
    assert warm.says("import os\ntry: os.waitpid(-1, 0)\nexcept ChildProcessError: print('none')") == "none"


def rewritten(warm: Warm, at: Path, **values: Any) -> Warm:
    """The same image, which says something else about itself."""
    script = f"""
import marshal, sys
from class_warm.image import LENGTH, MAGIC
content = open({str(warm.image)!r}, "rb").read()
size = int.from_bytes(content[len(MAGIC):len(MAGIC) + LENGTH], "little")
start = len(MAGIC) + LENGTH
new = marshal.loads(content[start:start + size])
for name, value in {values!r}.items():
    new[name] = {{**new[name], **value}} if name == "variables" else value
new = marshal.dumps(new)
whole = lambda size: -(-size // 4096) * 4096
head = (MAGIC + len(new).to_bytes(LENGTH, "little") + new)
open({str(at)!r}, "wb").write(head.ljust(whole(len(head)), b"\\0") + content[whole(start + size):])
"""
    done = run([warm.python, "-c", f"import sys; sys.path.insert(0, {str(FILES)!r})\n{script}"])
    assert done.returncode == 0, done.stderr
    seal.write(str(at), environment_of(warm.python), MODULES)
    return Warm(warm.python, at, 0, "")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"variables": {"TZ": "UTC"}}, "TZ has another value"),
        ({"sources": [("/etc/passwd", (1, 2, 3))]}, "/etc/passwd has changed"),
        ({"files": [("/usr/bin/python3", (1, 2, 3))]}, "/usr/bin/python3 was replaced"),
        ({"kernels": {}}, "taken over"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_ordinary_start_where_the_image_is_not_for_it(
    warm: Warm, tmp_path: Path, values: dict[str, Any], why: str
) -> None:
    done = rewritten(warm, tmp_path / "other.image", **values).run("import sys; print(sys.argv)", "a")
    assert (done.returncode, done.stdout) == (0, "['-c', 'a']\n")
    assert why in done.stderr


def test_ordinary_start_where_the_seal_is_not_for_it(warm: Warm, tmp_path: Path) -> None:
    """What the image says of itself does not count: another environment, a changed image, half a seal, none."""
    copy = tmp_path / "copy.image"
    copy.write_bytes(warm.image.read_bytes())
    began = Warm(warm.python, copy, 0, "")
    sealed = Path(f"{copy}{seal.SUFFIX}")
    seal.write(str(copy), "/opt/other", MODULES)
    assert "another environment" in began.run("print(1)").stderr
    seal.write(str(copy), environment_of(warm.python), MODULES)
    assert began.says("print(1)") == "1"
    with copy.open("r+b") as file:
        file.write(b"c")
    assert "not the one that was sealed" in began.run("print(1)").stderr
    sealed.write_bytes(sealed.read_bytes()[:20])
    assert "no whole seal" in began.run("print(1)").stderr
    sealed.unlink()
    done = began.run("print(1)")
    assert (done.returncode, done.stdout) == (0, "1\n")


@pytest.mark.parametrize("what", ["image", "seal", "file"])
def test_pipes_in_place_of_files_stop_no_start(warm: Warm, tmp_path: Path, what: str) -> None:
    """To open a pipe for reading waits for its writer."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if what == "image":
        began = Warm(warm.python, pipe, 0, "")
    else:
        files = {"files": [(str(pipe), (1, 2, 3))]} if what == "file" else {}
        began = rewritten(warm, tmp_path / "other.image", **files)
        if what == "seal":
            pipe.rename(f"{began.image}{seal.SUFFIX}")
    done = began.run("print('ordinary')")
    assert (done.returncode, done.stdout) == (0, "ordinary\n"), done.stderr
    assert "is no file" in done.stderr


@pytest.mark.parametrize("values", [{"maps": 3}, {"files": [("\0", (1, 2, 3))]}, {"pid": None, "registers": {}}])
def test_ordinary_start_where_an_image_makes_no_sense(warm: Warm, tmp_path: Path, values: dict[str, Any]) -> None:
    done = rewritten(warm, tmp_path / "odd.image", **values).run("print('ordinary')")
    assert (done.returncode, done.stdout) == (0, "ordinary\n"), done.stderr


@pytest.mark.parametrize("name", ["read", "become"])
def test_a_start_that_takes_too_long_is_an_ordinary_one(warm: Warm, name: str) -> None:
    """Reading the image, and taking it over: each has its limit."""
    slow = f"""
import sys, time
sys.path.insert(0, {str(FILES)!r})
from class_warm import begin
begin.PATIENCE = 1
begin.{name} = lambda *_: time.sleep(60)
sys.argv = [{BEGIN!r}, {str(warm.image)!r}, *{warm.ordinary("print('ordinary')")!r}]
begin.main()
"""
    began = time.monotonic()
    done = run([*SYSTEM, "-c", slow])
    assert (done.returncode, done.stdout) == (0, "ordinary\n"), done.stderr
    assert time.monotonic() - began < 30


def test_ordinary_start_without_a_whole_image(warm: Warm, tmp_path: Path) -> None:
    """None, an empty one, another file, a directory, and one that ends in the middle of its description."""
    places = [tmp_path / name for name in ("none", "empty", "text", "directory", "half")]
    places[1].touch()
    places[2].write_text("no image", encoding="utf-8")
    places[3].mkdir()
    places[4].write_bytes(warm.image.read_bytes()[:2000])
    for place in places:
        if place.is_file():
            seal.write(str(place), environment_of(warm.python), MODULES)
        done = Warm(warm.python, place, 0, "").run("print('ordinary')")
        assert (done.returncode, done.stdout) == (0, "ordinary\n"), done.stderr
        assert done.stderr.startswith("coursehub: an ordinary start of"), place


@pytest.mark.parametrize("name", ["PYTHONPATH", "LC_ALL", "OMP_NUM_THREADS", "LD_PRELOAD"])
def test_ordinary_start_with_variables_that_are_read_early(warm: Warm, name: str) -> None:
    assert f"the variable {name} has another value" in warm.run("print(1)", **{name: ""}).stderr


def test_image_is_stale_when_a_file_of_it_changes(course_python: str, tmp_path: Path) -> None:
    """systemd asks before it makes another one: 1 is current, 0 is stale."""
    made = make(course_python, tmp_path / "i", "json")
    stale = [*SYSTEM, str(FILES / "class_warm" / "stale.py")]
    where = str(Path(course_python).parent.parent)
    assert run([*stale, str(made.image), where, "json"]).returncode == 1
    assert run([*stale, str(made.image), where, "json", "csv"]).returncode == 0
    assert run([*stale, str(made.image), "/opt/other", "json"]).returncode == 0
    assert run([*stale, str(tmp_path / "none"), where, "json"]).returncode == 0
    other = rewritten(made, tmp_path / "other", files=[("/usr/bin/python3", (1, 2, 3))])
    assert run([*stale, str(other.image), where, "json"]).returncode == 0


@pytest.mark.parametrize("kind", ["server", "kernel"])
def test_what_servers_and_kernels_begin_with_works_in_a_copy(course_python: str, tmp_path: Path, kind: str) -> None:
    """The maker tries it in a copy: parts of JupyterHub are imported again there, and metrics only register once."""
    image = tmp_path / f"{kind}.image"
    script = str(FILES / "class_warm" / "make.py")
    with image.open("wb") as output:
        done = subprocess.run(
            [course_python, "-P", script, kind, str(image), "json"],
            env={"LANG": "C.UTF-8", "PATH": os.defpath, "TMPDIR": str(tmp_path)},
            stdout=output, stderr=subprocess.PIPE, text=True, check=False, timeout=150,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert image.stat().st_size > 10 << 20
