"""Each key of the course file has its effect in some formula's pillar and files."""

from __future__ import annotations

from typing import Any

import pytest

from runner.course import CourseFile
from tests.render.courses import MADE_UP
from tests.render.rendering import Rendering

pytestmark = pytest.mark.render
EXAMPLE = MADE_UP["made-example"]
BARE = MADE_UP["made-bare"]
#: The example's times without use, in seconds by Unix group.
IDLE = {"instructors": 480 * 60, "assistants": 480 * 60, "students": 120 * 60, "guests": 60 * 60}


@pytest.fixture(scope="module", params=["debian-12", "debian-13"])
def example(request: pytest.FixtureRequest, renderings: dict[str, Rendering]) -> Rendering:
    return renderings[f"course-made-example-{request.param}"]


@pytest.fixture(scope="module")
def bare(renderings: dict[str, Rendering]) -> Rendering:
    return renderings["course-made-bare-debian-13"]


def at(pillar: dict[str, Any], path: str) -> Any:
    """A value of the pillar; ``#`` in a path is replaced by the course's domain."""
    found: Any = pillar
    for part in path.split(":"):
        found = found[EXAMPLE["domain"] if part == "#" else part]
    return found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("base:hostname", EXAMPLE["domain"]),
        ("base:timezone", EXAMPLE["timezone"]),
        ("letsencrypt:email", EXAMPLE["contact"]),
        ("nginx:sites:#:upload_limit", EXAMPLE["upload_limit"]),
        ("nginx:sites:#:static", {"/.coursehub/crest.png": "salt://logos/crest.png"}),
        ("course_env:extra_imports", [*EXAMPLE["imports"], "octave_kernel"]),
        ("course_env:apt", EXAMPLE["apt"]),
        ("course_env:languages", EXAMPLE["kernels"]),
        ("jupyterhub:spawner:mem_limit", EXAMPLE["limits"]["memory"]),
        ("jupyterhub:spawner:cpu_limit", EXAMPLE["limits"]["cpu"]),
        ("jupyterhub:spawner:tasks_max", EXAMPLE["limits"]["tasks"]),
        ("jupyterhub:culler", {"timeout": 60 * 60, "groups": IDLE, "every": 300}),
        ("course_env:idle", {"seconds": 60 * 60, "groups": IDLE}),
        ("jupyterhub:before_class:times", EXAMPLE["timetable"]),
        ("jupyterhub:before_class:zone", EXAMPLE["timezone"]),
        ("jupyterhub:page:title", EXAMPLE["title"]),
        ("jupyterhub:page:message", EXAMPLE["page"]["message"]),
        ("jupyterhub:page:help", EXAMPLE["page"]["help"]),
        ("jupyterhub:page:logo", "/.coursehub/crest.png"),
    ],
)
def test_a_choice_is_in_the_formulas_pillar(example: Rendering, path: str, value: Any) -> None:
    assert at(example.pillar, path) == value


def test_one_idle_time_is_for_all_roles(bare: Rendering, renderings: dict[str, Rendering]) -> None:
    for rendering, minutes in ((bare, 120), (renderings["course-made-all-debian-13"], 5)):
        found = rendering.pillar["course_env"]["idle"]
        assert found["seconds"] == minutes * 60
        assert set(found["groups"].values()) == {minutes * 60}


def test_www_is_a_choice(example: Rendering, renderings: dict[str, Rendering]) -> None:
    assert EXAMPLE["www"] is False
    assert at(example.pillar, "nginx:sites:#:aliases") == []
    domain = MADE_UP["made-all"]["domain"]
    assert renderings["course-made-all-debian-13"].pillar["nginx"]["sites"][domain]["aliases"] == [f"www.{domain}"]


def text(rendering: Rendering, path: str) -> str:
    (found,) = [file.text for file in rendering.files() if file.path == path]
    return found


def serialized(rendering: Rendering, path: str) -> Any:
    (found,) = [c["dataset"] for c in rendering.chunks if c["fun"] == "serialize" and c["name"] == path]
    return found


def test_the_page_is_data_that_no_service_watches(example: Rendering) -> None:
    """A new message restarts nothing: it is in a file that no state watches, and not in the configuration."""
    page = "/etc/jupyterhub/page.json"
    assert serialized(example, page)["message"] == EXAMPLE["page"]["message"]
    assert EXAMPLE["page"]["message"] not in text(example, "/etc/jupyterhub/jupyterhub_config.py")
    assert EXAMPLE["title"] not in text(example, "/etc/jupyterhub/jupyterhub_config.py")
    wanted = [
        c["__id__"] for c in example.chunks for key in ("watch", "onchanges", "listen") if page in str(c.get(key))
    ]
    assert wanted == []
    assert page not in str([c for c in example.chunks if c["state"] == "cmd"])


def test_the_logo_is_served_by_nginx_itself(example: Rendering, bare: Rendering) -> None:
    assert "location = /.coursehub/crest.png {" in text(example, "/etc/nginx/nginx.conf")
    assert "/.coursehub/crest.png" not in text(bare, "/etc/nginx/nginx.conf")
    sources = {c["name"]: c.get("source") for c in example.chunks if c["fun"] == "managed"}
    file = f"/var/www/coursehub/static/{EXAMPLE['domain']}/.coursehub/crest.png"
    assert sources[file] == "salt://logos/crest.png"


def test_a_course_without_choices_has_the_schemas_defaults(bare: Rendering) -> None:
    assert set(BARE) == {"title", "domain", "contact", "people", "www"}
    assert serialized(bare, "/etc/jupyterhub/page.json") == {
        "title": BARE["title"],
        "message": "",
        "help": "",
        "logo": "",
    }


def test_debian_packages_are_asked_for_apart(example: Rendering, bare: Rendering) -> None:
    (found,) = [chunk for chunk in example.chunks if chunk["__id__"] == "course_env-packages"]
    languages = {"octave", "gnuplot-nox", "fonts-freefont-otf", "ghostscript", "r-cran-irkernel", "r-recommended"}
    assert set(found["pkgs"]) == {*EXAMPLE["apt"], *languages}
    assert found["aggregate"] is False
    assert [chunk for chunk in bare.chunks if chunk["__id__"] == "course_env-packages"] == []


def test_a_wrong_debian_package_keeps_nothing_from_working(example: Rendering) -> None:
    """Nothing depends on the course's packages; hub, nginx and the environment are ready before them."""
    assert [c["__id__"] for c in example.chunks if "course_env-packages" in str(c.get("require"))] == []
    ids = [c["__id__"] for c in sorted(example.chunks, key=lambda chunk: chunk["order"])]
    for before in ("jupyterhub", "nginx-service", "/opt/course/envs"):
        assert ids.index(before) < ids.index("course_env-packages")


def test_what_languages_need_from_the_index_is_locked() -> None:
    course = CourseFile.model_validate({"course": EXAMPLE}).course
    assert course.locked_packages == [*EXAMPLE["packages"], *EXAMPLE["extensions"], "octave-kernel"]
