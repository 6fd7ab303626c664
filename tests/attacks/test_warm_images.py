"""Servers and kernels are copies of an image: what copies have in common, who writes it, what a package gains."""

from __future__ import annotations

import json

import pytest

from tests.support.attackers import Person
from tests.support.hub import Hub

IMAGES = "/var/cache/coursehub-warm"
KINDS = ("server", "kernel")
#: What the kernel knows of a process.
_OF_A_PROCESS = """
import json, os
names = ("Umask Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters "
         "Speculation_Store_Bypass SpeculationIndirectBranch Cpus_allowed_list Mems_allowed_list SigIgn SigBlk "
         "TracerPid").split()
place = PLACE
OWN = ("mnt", "ipc")
status = dict(line.split(":", 1) for line in open(place + "/status").read().splitlines())
print(json.dumps({
    **{name: status[name].split() for name in names if name in status},
    "limits": open(place + "/limits").read(), "cgroup": open(place + "/cgroup").read(),
    "oom": open(place + "/oom_score_adj").read(),
    # Root has the directory that is left out while this test itself is signed in.
    "mounts": sorted(line.split()[4:6] + line.partition(" - ")[2].split()[:1] for line in open(place + "/mountinfo")
                     if "/run/user/0" not in line),
    # Each start has its own of the other two.
    "spaces": sorted(os.readlink(place + "/ns/" + name) for name in os.listdir(place + "/ns") if name not in OWN),
    "words": open(place + "/cmdline").read().replace(chr(0), " ").split("kernel-")[0],
    "program": os.readlink(place + "/exe"), "directory": os.readlink(place + "/cwd"),
}))
"""
_FROM_IMAGE = "import sys; print('class_warm.anew' in sys.modules)"


@pytest.fixture(scope="module")
def images(hub: Hub) -> None:
    """Both images are there, where the course uses them. What is wrong with them stands in the journal."""
    if hub.run(f"test -d {IMAGES} || echo off").strip():
        pytest.skip("this hub uses no images (course_env: warm)")
    units = " ".join(f"coursehub-warm-{kind}" for kind in KINDS)
    there = " && ".join(f"test -s {IMAGES}/{kind}.image" for kind in KINDS)
    said = hub.run(
        f"systemctl start {units} 2>&1; {there} && echo made || journalctl -n 20 -o cat {units}", seconds=200
    )
    assert said.strip().endswith("made"), said


def copied(person: Person) -> Person:
    """The person, with a server and a kernel that are copies."""
    person.restart()
    assert person.python(_FROM_IMAGE) == "True"
    return person


@pytest.mark.usefixtures("images")
def test_random_numbers_of_others(alice: Person, bob: Person, mallory: Person) -> None:
    """Tries: to know others' random numbers, keys and temporary names, because all kernels are copies of one process.

    Stopped by: each copy makes them anew (class_warm/anew.py).
    """
    code = """
import json, multiprocessing, random, tempfile, uuid
import numpy
print(json.dumps([*map(str, (random.random(), uuid.uuid4(), uuid.uuid1(), next(tempfile._get_candidate_names()),
    multiprocessing.current_process().authkey.hex(), numpy.random.rand(), numpy.random.default_rng().random(),
    numpy.random.RandomState().rand(), get_ipython().kernel.session.session, get_ipython().kernel.session.key,
    get_ipython().kernel.ident))]))
"""
    found = [json.loads(copied(person).python(code)) for person in (alice, bob, mallory)]
    for values in zip(*found, strict=True):
        assert len(set(values)) == len(values), values


@pytest.mark.usefixtures("images")
def test_what_a_copy_knows_of_others(alice: Person, mallory: Person) -> None:
    """Tries: to find another's home, name, folder or token in one's own copy.

    Stopped by: the image is made for a person who does not exist.
    """
    copied(alice)
    copied(mallory)
    code = """
import gc, os, matplotlib, pathlib
words = [os.environ["HOME"], matplotlib.get_configdir(), str(pathlib.Path.home())]
others = [one for one in gc.get_objects() if isinstance(one, (dict, list)) and len(one) < 10000
          for part in (one.values() if isinstance(one, dict) else one)
          if type(part) is str and ("coursehub" + "-nobody" in part or "/home/" + NAME in part)]
print(words, len(others))
"""
    said = mallory.python(f"NAME = {alice.account!r}\n{code}")
    home = mallory.home
    assert said == f"['{home}', '{home}/.config/matplotlib', '{home}'] 0"


@pytest.mark.usefixtures("images")
def test_a_copy_has_fewer_walls(mallory: Person, hub: Hub) -> None:
    """Tries: to find a wall that an ordinary server or kernel has, and a copy has not.

    Stopped by: a copy is the process that systemd started, so nothing that the kernel knows of it has changed.
    """
    copied(mallory)
    of_itself = _OF_A_PROCESS.replace("PLACE", "'/proc/self'")
    of_server = f"python3 - << 'END'\n{_OF_A_PROCESS}\nEND"
    pid = f"/proc/$(systemctl show -p MainPID --value {mallory.unit})"
    script = of_server.replace("PLACE", "open('/run/attack-place').read().strip()")
    ask = f"echo {pid} > /run/attack-place\n{script}\nrm /run/attack-place"
    copies = [json.loads(mallory.python(of_itself)), json.loads(hub.run(ask))]
    try:
        hub.run(f"for kind in {' '.join(KINDS)}; do mv {IMAGES}/$kind.image {IMAGES}/$kind.away; done")
        mallory.restart()
        assert mallory.python(_FROM_IMAGE) == "False"
        ordinary = [json.loads(mallory.python(of_itself)), json.loads(hub.run(ask))]
    finally:
        hub.run(f"for kind in {' '.join(KINDS)}; do mv {IMAGES}/$kind.away {IMAGES}/$kind.image; done")
        mallory.restart()
    for copy, other in zip(copies, ordinary, strict=True):
        assert copy == other
        assert copy["NoNewPrivs"] == ["1"]
        assert copy["CapBnd"] == ["0000000000000000"]


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_changed(mallory: Person, hub: Hub, kind: str) -> None:
    """Tries: to write into the image from which everybody starts, to replace it, or to write through one's own copy.

    Stopped by: only root can write it; a process maps it for itself alone (MAP_PRIVATE).
    """
    path = f"{IMAGES}/{kind}.image"
    before = hub.run(f"sha256sum {path}; stat -c '%U %a' {path}")
    assert before.split()[-2:] == ["root", "644"]
    code = f"""
import mmap, os
for attempt in (lambda: open({path!r}, "r+b"), lambda: os.unlink({path!r}), lambda: os.truncate({path!r}, 0),
                lambda: os.rename({path!r}, {path!r} + "x"), lambda: open({IMAGES!r} + "/new", "w"),
                lambda: os.chmod({path!r}, 0o666),
                lambda: mmap.mmap(os.open({path!r}, os.O_RDONLY), 4096, mmap.MAP_SHARED, mmap.PROT_WRITE)):
    try:
        attempt()
        print("DONE")
    except OSError as error:
        print(error.errno)
mine = mmap.mmap(os.open({path!r}, os.O_RDONLY), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
mine[:4] = b"evil"
"""
    said = mallory.python(code)
    assert len(said.splitlines()) == 7
    assert "DONE" not in said, said
    assert hub.run(f"sha256sum {path}; stat -c '%U %a' {path}") == before


@pytest.mark.usefixtures("images")
def test_secrets_are_in_an_image(hub: Hub, alice: Person, professor: Person) -> None:
    """Tries: to read secrets of the hub, or of whoever has a server, in the image that everybody can read.

    Stopped by: it is made by an account of its own, without any variable of a server or the hub.
    """
    secrets = [person.token() for person in (alice, professor)]
    script = f"""
import glob, re
words = {secrets!r}
for path in glob.glob("/srv/jupyterhub/*.env") + ["/srv/jupyterhub/cookie_secret", "/etc/shadow"]:
    words += re.findall(r"[A-Za-z0-9+/$.]{{32,}}", open(path).read())
found = [open(path, "rb").read() for path in glob.glob("{IMAGES}/*.image")]
print(len(words) > 5, len(found), sum(word.encode() in image for word in words for image in found))
"""
    assert hub.run(f"python3 - << 'END'\n{script}\nEND").split() == ["True", "2", "0"]


@pytest.mark.usefixtures("images")
def test_an_image_of_ones_own(mallory: Person) -> None:
    """Tries: to start from an image that one made oneself, to have other rights than one's server.

    Stopped by: the program that copies has no rights to give.
    """
    lib, ours = "/opt/course/lib", "/run/jupyter-server/mine"
    script = f"""
cd /tmp && PYTHONPATH={lib}/class_own/site "$COURSEHUB_ENV/bin/python" -P {lib}/class_warm/make.py kernel {ours} json \
    2> made > {ours} && cat made
env -i LANG=$LANG PYTHONPATH={lib}/class_own/site HOME=$HOME /usr/bin/python3 -I -S {lib}/class_warm/begin.py {ours} \
    "$COURSEHUB_ENV/bin/python" --trial; echo "ended $?"; rm -f {ours}
grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status
"""
    said = " ".join(mallory.shell(script).text.split())
    assert "ended" in said
    assert said.endswith("CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2"), said


#: What a package tries while it is imported for an image. Its words go to the journal.
_EVIL = r"""
import os, socket, subprocess, sys
def tries(name, attempt):
    try:
        attempt()
        print("GOT", name, file=sys.stderr)
    except OSError as error:
        print("no", name, error.errno, file=sys.stderr)
tries("root", lambda: os.setuid(0))
tries("root's group", lambda: os.setgroups([0]))
tries("another account", lambda: os.setuid(1000))
tries("passwords", lambda: open("/etc/shadow"))
tries("homes", lambda: os.listdir("/home/ALICE"))
tries("the hub", lambda: os.listdir("/srv/jupyterhub"))
tries("a file", lambda: open("/var/cache/coursehub-warm/other.image", "w"))
tries("the other image", lambda: open("/var/cache/coursehub-warm/server.image", "r+b"))
tries("the seal", lambda: open("/var/cache/coursehub-warm/kernel.image.seal", "r+b"))
tries("the course", lambda: os.listdir("/srv/class/groups"))
tries("the door", lambda: socket.socket(socket.AF_UNIX).connect("/run/coursehub/door/hub.sock"))
tries("the network", lambda: socket.create_connection(("127.0.0.1", 443), 2))
tries("another process", lambda: open("/proc/1/environ").read())
left = [name for name in os.environ if "TOKEN" in name or name.startswith("JUPYTERHUB")]
print("variables", left, file=sys.stderr)
subprocess.Popen(["/bin/sleep", "4242"], start_new_session=True, stdout=subprocess.DEVNULL)
"""


@pytest.mark.usefixtures("images")
def test_a_package_while_an_image_is_made(hub: Hub, alice: Person) -> None:
    """Tries: to be root, to read homes and secrets, to reach the network or to stay, from a package of the course.

    Stopped by: images are made in a unit without rights, homes and network, and systemd ends what it leaves.
    """
    alice.serve()
    evil = _EVIL.replace("ALICE", alice.account)
    unit, place = "coursehub-warm-kernel", "/run/systemd/system/coursehub-warm-kernel.service.d"
    script = f"""
mkdir -p {place} /usr/local/lib/attack
cat > /usr/local/lib/attack/evil.py << 'END'
{evil}
END
cat > {place}/attack.conf << 'END'
[Service]
ExecCondition=
ExecStart=
ExecStart=/opt/course/env/bin/python -P -B /usr/local/lib/attack/evil.py
ExecStartPost=
END
systemctl daemon-reload
systemctl start {unit}; echo "code $?"
journalctl --sync
journalctl -o cat -n 30 -u {unit} _TRANSPORT=stdout --since=-1min
echo "left $(pgrep -fc '[s]leep 4242')"
"""
    try:
        said = hub.run(script)
    finally:
        hub.run(f"rm -rf {place} /usr/local/lib/attack {IMAGES}/kernel.image.new; systemctl daemon-reload")
    assert said.count("no ") >= 13, said
    assert "GOT" not in said, said
    assert "variables []" in said
    assert "left 0" in said
