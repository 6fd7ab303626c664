"""The course's environment for a student: it imports and computes, and cannot be changed."""

from __future__ import annotations

from testinfra.host import Host

PYTHON = "/opt/course/env/bin/python"


def as_student(host: Host, *words: str) -> str:
    return host.check_output("runuser -u nobody -- " + " ".join(["%s"] * len(words)), *words)


def test_it_imports_numpy_and_computes(host: Host) -> None:
    assert as_student(host, PYTHON, "-c", "import numpy; print(int(numpy.arange(5).sum() * 4))") == "40"


def test_it_has_what_a_students_server_is(host: Host) -> None:
    assert as_student(host, "/opt/course/env/bin/jupyterhub-singleuser", "--version").startswith("6.")
    assert as_student(host, "/opt/course/env/bin/jupyter-lab", "--version").startswith("4.")


def test_a_kernel_computes(host: Host) -> None:
    """A real kernel with its own protocol, as a notebook uses it."""
    script = (
        "from jupyter_client.manager import start_new_kernel\n"
        "manager, client = start_new_kernel(kernel_name='python3', startup_timeout=60)\n"
        "answer = client.execute_interactive('print(5 * 4)', timeout=60)\n"
        "print(answer['content']['status'])\n"
        "client.stop_channels(); manager.shutdown_kernel(now=True)\n"
    )
    home = "/tmp/kitchen-student"
    host.check_output("install -d -m 0700 -o nobody -g nogroup %s", home)
    said = host.check_output("runuser -u nobody -- env HOME=%s %s -c %s", home, PYTHON, script)
    assert said.splitlines() == ["20", "ok"]


FORK = """
import os
child = os.fork()
if not child:
    os.chdir("/")
    print(5 * 4, flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], os.environ.get("TMPDIR", "")[-4:])
"""


def test_what_a_fork_prints_from_another_folder_is_shown(host: Host) -> None:
    """Also if TMPDIR is too long for a socket's path."""
    script = (
        "from jupyter_client.manager import start_new_kernel\n"
        "manager, client = start_new_kernel(kernel_name='python3', startup_timeout=60)\n"
        f"client.execute_interactive({FORK!r}, timeout=60)\n"
        "client.stop_channels(); manager.shutdown_kernel(now=True)\n"
    )
    home = "/tmp/kitchen-forks"
    long = f"{home}/{'x' * 100}"
    host.check_output("install -d -m 0700 -o nobody -g nogroup %s %s", home, long)
    as_nobody = f"cd {home} && runuser -u nobody -- env HOME={home}"
    said = host.check_output(f"{as_nobody} {PYTHON} -c %s", script)
    assert sorted(said.split()) == ["0", "20"]
    said = host.check_output(f"{as_nobody} TMPDIR={long} {PYTHON} -c %s", script)
    assert sorted(said.split()) == ["0", "20", "xxxx"]
    assert host.check_output("ls %s", home) == "x" * 100


def test_students_cannot_change_it(host: Host) -> None:
    # uv leaves its empty lock file writable for all; it is only used while an environment is built.
    assert host.check_output("find /opt/course -perm -o+w ! -type l ! -name .lock") == ""
    assert host.run("runuser -u nobody -- touch /opt/course/env/lib/kitchen").rc != 0


def test_what_a_spawn_imports_is_compiled(host: Host) -> None:
    """A student cannot write bytecode there, so every spawn would compile again (FACTS: 24 of 24 too late)."""
    where = as_student(host, PYTHON, "-c", "import jupyter_server.serverapp as m; print(m.__cached__)")
    assert host.file(where).exists


def test_the_rest_is_compiled_in_the_background_but_for_tests(host: Host) -> None:
    ended = "for second in $(seq 240); do [ -e /opt/course/env/.compiled ] && break; sleep 1; done"
    host.check_output(ended)
    assert host.check_output("find -L /opt/course/env/lib -name 'crackfortran.*.pyc'") != ""
    assert host.check_output("find -L /opt/course/env/lib -path '*/numpy/tests/*' -name '*.pyc'") == ""
    assert host.check_output("find /var/cache/coursehub -mindepth 1 -maxdepth 1 -name 'envs-*'") == ""


def test_the_start_script_starts_that_environment(host: Host) -> None:
    shown = host.run("runuser -u nobody -- env HOME=/tmp /opt/course/bin/start-server --version")
    assert shown.rc == 0, shown.stderr
    assert shown.stdout.strip().startswith("6.")
