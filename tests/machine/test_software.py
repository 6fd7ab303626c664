"""Changes of the class's packages during work: a failed change reaches nobody, a good one reaches new servers."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machine.test_hub import OTHER, STUDENT
from tests.support.hub import Hub
from tests.support.machine import one_line

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

#: Kernelspec and code that prints 42, by language. Octave's 150 packages take most of a minute, R's 47 a quarter of it,
#: and both are installed the same way, so Octave is tested only with COURSEHUB_ALL_KERNELS=1.
KERNELS = {"r": ("ir", "x <- 6 * 7; cat(x)")}
if os.environ.get("COURSEHUB_ALL_KERNELS"):
    KERNELS["octave"] = ("octave", "x = 6 * 7; disp(x)")

PACKAGES = "  packages: ["
IMPORTS = "  imports: ["
WHERE = "import sys; print(sys.prefix)"


@pytest.fixture
def taught(hub12: Hub) -> Iterator[Hub]:
    """Debian 12's course (the other server is compared with a new one); its files are restored afterwards."""
    project = hub12.sandbox.project
    kept = [project.course_file(hub12.course), lock_of(hub12), project.root / "pillar/site.sls"]
    before = {path: path.read_bytes() for path in kept}
    yield hub12
    for path, content in before.items():
        path.write_bytes(content)


def lock_of(hub: Hub) -> Path:
    return hub.sandbox.project.root / f"pillar/files/locks/{hub.course}.txt"


def environments(hub: Hub) -> set[str]:
    return set(hub.run("ls /opt/course/envs").split())


def serving(hub: Hub) -> str:
    return hub.run("readlink /opt/course/env").strip().rpartition("/")[2]


def extensions(page: str) -> set[str]:
    """The names of JupyterLab's additional extensions, as listed in its page."""
    found = re.search(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found
    config: dict[str, Any] = json.loads(found[1])
    return {one["name"] for one in config["federated_extensions"]}


def test_failed_import_reaches_nobody_and_names_the_module(taught: Hub) -> None:
    before = serving(taught)
    taught.sandbox.edit(taught.course, IMPORTS, f"{IMPORTS}nosuchmodule, ")
    failed = taught.sandbox.run("apply", taught.course)
    line = one_line(failed, "import nosuchmodule: ModuleNotFoundError", f"then run 'coursehub apply {taught.course}'")
    assert "/opt/course/envs" in line
    assert serving(taught) == before


def test_new_packages_reach_new_servers_only(taught: Hub) -> None:
    """R and an extension of JupyterLab, and so another lock; then back."""
    sandbox, course = taught.sandbox, taught.course
    old, old_lock = serving(taught), lock_of(taught).read_bytes()
    added = f"  kernels: [{', '.join(KERNELS)}]\n  extensions: [jupyterlab-execute-time]\n{PACKAGES}"
    with contextlib.ExitStack() as stack:
        early = stack.enter_context(sandbox.client(taught.document, STUDENT))
        early.start_server()
        kernel = stack.enter_context(early.kernel())
        assert kernel.run(WHERE) == f"/opt/course/envs/{old}"
        sandbox.edit(course, PACKAGES, added)
        sandbox.json("lock", course)
        assert sandbox.json("apply", course)["courses"][course]["failed"] == 0
        new = serving(taught)
        assert new != old

        # People at work continue, with modules that were not imported before and with a new kernel.
        assert kernel.run("import sympy; print(sympy.sqrt(16))") == "4"
        with early.kernel() as another:
            assert another.run(WHERE) == f"/opt/course/envs/{old}"
        late = stack.enter_context(sandbox.client(taught.document, OTHER))
        late.start_server()
        with late.kernel() as python:
            assert python.run(WHERE) == f"/opt/course/envs/{new}"
        for kernelspec, code in KERNELS.values():
            with late.kernel(kernelspec) as other:
                assert other.run(code) == "42"
        assert "jupyterlab-execute-time" in extensions(late.get(f"/user/{OTHER}/lab").text)
        late.stop_server()

        # Back, keeping one package: the other environment is removed because nothing uses it.
        sandbox.edit(course, added, PACKAGES)
        lock_of(taught).write_bytes(old_lock)
        site = sandbox.project.root / "pillar/site.sls"
        site.write_text(site.read_text(encoding="utf-8") + "\ncourse_env:\n  keep: 1\n", encoding="utf-8")
        taught.run(f"systemctl stop compile-envs-{new}.service || true")
        assert environments(taught) == {old, new}
        assert sandbox.json("apply", course)["courses"][course]["failed"] == 0
        assert (serving(taught), environments(taught)) == (old, {old})
        assert kernel.run("print(sympy.sqrt(25))") == "5"
        early.stop_server()
