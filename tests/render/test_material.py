"""What a course's material becomes on its server: nothing if it has none, and no key that others can read."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from runner.agreed import GIT_HOSTS
from runner.setup.material import DATA, MIRRORS
from tests.render.courses import MADE_UP, SECRET
from tests.render.rendering import Chunk, Rendering

pytestmark = pytest.mark.render
COURSE = MADE_UP["made-material"]
#: As published by the hosts: docs.github.com, docs.gitlab.com, support.atlassian.com.
FINGERPRINTS = {
    "github.com": "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
    "gitlab.com": "eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
    "bitbucket.org": "ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
}


@pytest.fixture(params=["debian-12", "debian-13"])
def made(request: pytest.FixtureRequest, renderings: dict[str, Rendering]) -> Rendering:
    return renderings[f"course-made-material-{request.param}"]


def of_material(rendering: Rendering) -> list[Chunk]:
    return [chunk for chunk in rendering.chunks if chunk["__sls__"].startswith("material")]


def test_course_without_material_has_only_two_cleanup_states(
    renderings: dict[str, Rendering],
) -> None:
    bare = renderings["course-made-bare-debian-13"]
    assert (bare.pillar["material"]["repositories"], bare.pillar["material"]["data"]) == ({}, {})
    assert [(c["__id__"], c["fun"], bool(c["onlyif"])) for c in of_material(bare)] == [
        ("material-mirrors", "run", True), ("material-data", "run", True),
    ]  # fmt: skip


def test_each_repository_is_mirrored_with_its_own_key(made: Rendering) -> None:
    (mirrored,) = [c for c in made.chunks if (c["state"], c["fun"]) == ("material", "mirrored")]
    entries = mirrored["repositories"]
    assert {name: entry["url"] for name, entry in entries.items()} == {
        one["name"]: one["url"] for one in COURSE["material"]["repositories"]
    }
    assert entries["projects"]["branch"] == "spring"
    assert entries["labs"]["key"] == ""
    assert entries["projects"]["key"] == hashlib.sha256(SECRET.encode()).hexdigest()
    (config,) = [c["dataset"] for c in made.chunks if c["__id__"] == "/etc/coursehub-material/config.json"]
    assert config["repositories"] == entries
    assert config["mirrors"] == mirrored["name"] == MIRRORS
    keys = {file.path: file for file in made.files() if file.path.startswith("/etc/coursehub-material/keys/")}
    assert {path.rpartition("/")[2] for path in keys} == {"projects", "own"}
    assert {(file.text, file.mode) for file in keys.values()} == {(SECRET, "0400")}


def test_no_key_is_anywhere_else(made: Rendering) -> None:
    given = [c for c in of_material(made) if SECRET in json.dumps(c)]
    assert given == [], "a state's arguments are shown and logged"


def test_git_reads_only_the_mirrors_of_another_user(made: Rendering) -> None:
    (config,) = [file.text for file in made.files() if file.path == "/etc/gitconfig"]
    lines = [line.strip() for line in config.splitlines()]
    assert lines == ["[safe]", *(f"directory = {MIRRORS}/{name}" for name in ("labs", "own", "projects"))]


def test_only_the_class_reads_what_only_the_unit_and_root_write(made: Rendering) -> None:
    (mirrors,) = [c for c in made.chunks if c["__id__"] == MIRRORS]
    assert (mirrors["user"], mirrors["group"], mirrors["mode"]) == ("class-material", "class", "0750")
    (data,) = [c for c in made.chunks if (c["state"], c["fun"]) == ("material", "data")]
    assert (data["name"], data["group"]) == (DATA, "class")
    assert data["sets"]["heights.csv"]["source"] == "salt://data/heights.csv"
    assert data["sets"]["rainfall"] == {
        "source": "https://data.example.org/r.zip", "sha256": "0" * 64, "unpack": True,
    }  # fmt: skip


def test_the_class_has_one_directory(made: Rendering) -> None:
    """The directory is defined once, so teams, data and mirrors move together."""
    assert made.pillar["material"]["root"] == made.pillar["accounts"]["directories"]["root"]
    assert {MIRRORS.rpartition("/")[0], DATA.rpartition("/")[0]} == {made.pillar["material"]["root"]}


def test_homes_get_a_link_to_the_data(made: Rendering) -> None:
    start = next(file.text for file in made.files() if file.path == "/opt/course/bin/start-server")
    (names,) = re.findall(r"for name in (.*); do", start)
    assert DATA in [f"/srv/class/{name}" for name in names.split()]
    assert "target=/srv/class/$name" in start


def test_nothing_restarts_for_material(made: Rendering) -> None:
    watching = [
        c["__id__"]
        for c in made.chunks
        for key in ("watch", "onchanges", "listen")
        if "material" in str(c.get(key)) and not c["__sls__"].startswith("material")
    ]
    assert watching == []
    config = next(file.text for file in made.files() if file.path == "/etc/jupyterhub/jupyterhub_config.py")
    assert "labs" not in config


def test_known_git_hosts_need_no_host_key() -> None:
    assert set(GIT_HOSTS) == set(FINGERPRINTS)
    for host, line in GIT_HOSTS.items():
        kind, key = line.split()
        assert kind == "ssh-ed25519"
        digest = base64.b64encode(hashlib.sha256(base64.b64decode(key)).digest()).decode().rstrip("=")
        assert digest == FINGERPRINTS[host]
