"""A student's own packages must reach only the student's kernels and programs."""

from __future__ import annotations

from tests.support.attackers import Person
from tests.support.hub import Hub
from tests.support.visiting import CLICK

#: Records who imported it.
_TRACE = """
import os, pathlib
with open(os.path.expanduser("~/imported"), "a") as trace:
    trace.write(pathlib.Path("/proc/self/cmdline").read_text().replace("\\0", " ") + "\\n")
raise ImportError("shadowed")
"""
_PLACE = "~/.local/share/coursehub/packages"
_SHADOWED = ("ipykernel", "IPython", "tornado", "traitlets", "jupyter_server", "zmq", "nbconvert", "psutil")


def _plant(mallory: Person) -> None:
    """Put modules with Jupyter's names, and code that Python runs at its start, into the student's own packages."""
    mallory.serve()
    names = " ".join((*_SHADOWED, "sitecustomize", "usercustomize"))
    code = _TRACE.replace("'", '"')
    script = f"""
pip --version > /dev/null
cd $COURSEHUB_OWN || exit 1
for name in {names}; do printf '%s' '{code}' > $name.py; done
echo 'import os; os._exit(9)' > evil.pth
rm -f ~/imported
"""
    assert mallory.shell(script).code == 0


def test_own_packages_take_jupyters_place(mallory: Person, hub: Hub) -> None:
    """Tries: to let server and kernel import a student's own modules by the names of Jupyter's.

    Stopped by: the server never has the student's packages on its path, and for kernels the course's come first.
    """
    _plant(mallory)
    try:
        mallory.restart()
        assert mallory.python("print(6 * 7)") == "42"
        where = mallory.python("import ipykernel; print(ipykernel.__file__)")
        assert where.startswith("/opt/course/envs/")
        assert hub.run(f"cat {mallory.home}/imported 2>/dev/null || true") == ""
    finally:
        mallory.client.api("DELETE", "/class/own")


def test_own_packages_in_a_teachers_look(mallory: Person, professor: Person, hub: Hub) -> None:
    """Tries: to let the program that shows a notebook to a teacher import a student's own modules.

    Stopped by: it runs without the student's variables, and the course's modules come first.
    """
    _plant(mallory)
    try:
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
        mallory.client.api(
            "PUT", "/api/contents/look.ipynb", json={"type": "notebook", "format": "json", "content": notebook}
        )
        page = f"/services/students-work/of/{mallory.account}/look.ipynb?do=render"
        shown = professor.client.get(page, headers=CLICK, timeout=60)
        assert shown.status_code == 200, shown.text[:300]
        assert hub.run(f"cat {mallory.home}/imported 2>/dev/null || true") == ""
    finally:
        mallory.client.api("DELETE", "/class/own")


def test_own_packages_removed_behind_a_link(mallory: Person) -> None:
    """Tries: to let the reset delete the target of a student's link.

    Stopped by: the reset removes a link and never its target.
    """
    mallory.serve()
    planted = f"rm -rf {_PLACE}; mkdir -p ~/kept ~/.local/share/coursehub && touch ~/kept/file && ln -s ~/kept {_PLACE}"
    assert mallory.shell(planted).code == 0
    mallory.client.api("DELETE", "/class/own")
    assert mallory.shell("ls ~/kept").text == "file"


def test_own_packages_reset_by_another(mallory: Person, alice: Person) -> None:
    """Tries: to list and to remove another student's own packages.

    Stopped by: each server answers only its owner.
    """
    alice.serve()
    address = f"/user/{alice.account}/class/own"
    assert mallory.client.get(address, allow_redirects=False).status_code in {302, 403, 404}
    assert mallory.with_token("DELETE", address, mallory.token()).status_code in {302, 403, 404}
