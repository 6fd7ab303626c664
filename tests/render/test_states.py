"""Every formula alone, and everything for every course, on every release: it compiles, and its references exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.render.conftest import COURSES, FORMULAS, RELEASES
from tests.render.courses import SECRET
from tests.render.rendering import REQUISITES, ROOT, Chunk, Renderer, Rendering, switched_off

pytestmark = pytest.mark.render


def test_compiles(rendering: Rendering) -> None:
    assert rendering.errors == []
    assert rendering.chunks


def test_no_state_is_of_a_module_that_is_switched_off(rendering: Rendering) -> None:
    assert {chunk["state"] for chunk in rendering.chunks} & switched_off() == set()


def test_no_state_is_defined_twice(rendering: Rendering) -> None:
    seen = Counter((chunk["__id__"], chunk["state"], chunk["fun"], chunk["name"]) for chunk in rendering.chunks)
    assert [key for key, times in seen.items() if times > 1] == []


def wanted(chunk: Chunk) -> list[tuple[str, str]]:
    """The (state, name or ID) pairs of a chunk's requisites; a bare string matches any state."""
    pairs = []
    for requisite in REQUISITES:
        for base in (requisite, f"{requisite}_any"):
            for asked in chunk.get(base, []) if isinstance(chunk.get(base), list) else []:
                pairs += [("", asked)] if isinstance(asked, str) else [(state, name) for state, name in asked.items()]
    return pairs


def test_every_requisite_resolves(rendering: Rendering) -> None:
    known = {(chunk["state"], chunk[key]) for chunk in rendering.chunks for key in ("__id__", "name")}
    known |= {("", chunk["__id__"]) for chunk in rendering.chunks}
    known |= {("sls", chunk["__sls__"]) for chunk in rendering.chunks}
    missing = [(c["__id__"], pair) for c in rendering.chunks for pair in wanted(c) if pair not in known]
    assert missing == []


def test_background_state_and_file_make_no_common_directory(rendering: Rendering) -> None:
    """If two states both find a directory missing, the second to create it fails.

    So a common directory is required first.
    """
    beside = [Path(c["name"]).parents for c in rendering.chunks if c["state"] == "file" and c.get("makedirs")]
    for chunk in rendering.chunks:
        if chunk.get("parallel"):
            path = Path(chunk["name"])
            shared = {place for place in (path, *path.parents) if any(place in parents for parents in beside)}
            required = {Path(name) for state, name in wanted(chunk) if state == "file"}
            assert shared - {Path("/"), Path("/opt")} <= required, chunk["__id__"]


def test_every_source_exists(rendering: Rendering) -> None:
    asked = []
    for chunk in rendering.chunks:
        for key, value in chunk.items():
            if key.startswith("__"):
                continue
            texts = value if isinstance(value, list) else [value]
            asked += [(chunk["__id__"], text) for text in texts if isinstance(text, str) and text.startswith("salt://")]
    assert [pair for pair in asked if not rendering.source(pair[1])] == []


def test_every_template_renders(rendering: Rendering) -> None:
    assert all(isinstance(file.text, str) for file in rendering.files())


def test_state_ids_are_paths_or_begin_with_their_formula(rendering: Rendering) -> None:
    ids = {(chunk["__sls__"].split(".")[0], chunk["__id__"]) for chunk in rendering.chunks}
    prefixes = {formula: (f"{formula}-", f"{formula.replace('_', '-')}-", "/") for formula, _ in ids}
    assert sorted(id_ for formula, id_ in ids if id_ != formula and not id_.startswith(prefixes[formula])) == []


def test_modes_are_quoted(rendering: Rendering) -> None:
    modes = [
        (c["__id__"], key, c[key]) for c in rendering.chunks for key in ("mode", "dir_mode", "file_mode") if key in c
    ]
    assert [
        found for found in modes if not re.fullmatch(r"[0-7]{4}", str(found[2])) or not isinstance(found[2], str)
    ] == []


def test_packages_are_lists(rendering: Rendering) -> None:
    found = [c for c in rendering.chunks if c["state"] == "pkg" and c["fun"] in ("installed", "latest", "removed")]
    assert [c["__id__"] for c in found if "pkgs" not in c] == []


def test_secrets_stay_in_private_files(rendering: Rendering) -> None:
    for file in rendering.files():
        assert SECRET not in file.text or file.mode in ("0600", "0400"), f"{file.path} may be read by others"
    told = [
        c["__id__"]
        for c in rendering.chunks
        if c["state"] == "file" and SECRET in str(c) and c.get("show_changes", True)
    ]
    assert told == [], "a secret would stand in these states' changes"


@pytest.mark.parametrize("release", RELEASES)
def test_salt_call_compiles_the_same(renderer: Renderer, renderings: dict[str, Rendering], release: str) -> None:
    """The renderings above are made in this process, for speed; a minion's own salt-call gets the same states."""
    course = COURSES[0]
    low = renderer.call(course, RELEASES[release], "state.show_lowstate")
    here = renderings[f"course-{course}-{release}"].chunks
    assert [(c["state"], c["__id__"], c["fun"]) for c in low] == [(c["state"], c["__id__"], c["fun"]) for c in here]


@pytest.mark.parametrize("course", COURSES)
def test_releases_differ_only_in_what_is_said_of_them(renderings: dict[str, Rendering], course: str) -> None:
    """A state that exists on only one release must be listed."""
    ids = {release: {c["__id__"] for c in renderings[f"course-{course}-{release}"].chunks} for release in RELEASES}
    assert ids["debian-12"] == ids["debian-13"] == ids["ubuntu-24.04"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_formula_has_its_papers(formula: str) -> None:
    home = ROOT / "formulas" / formula
    assert [
        name for name in ("README.md", "defaults.yaml", "map.jinja", "pillar.example") if not (home / name).exists()
    ] == []


@pytest.mark.parametrize("formula", FORMULAS)
def test_formula_reads_its_own_pillar_key_only(formula: str) -> None:
    texts = {
        path: path.read_text()
        for pattern in ("*.sls", "*.jinja")
        for path in (ROOT / "formulas" / formula).glob(pattern)
    }
    for path, text in texts.items():
        keys = re.findall(r"""(?:salt\[['"]pillar\.get['"]\]\(|pillar\[|pillar\.get\()\s*['"]([\w:]+)['"]""", text)
        assert {key.split(":")[0] for key in keys} <= {formula}, path


@pytest.mark.parametrize("formula", FORMULAS)
def test_formula_calls_nothing_that_costs_a_round_trip(formula: str) -> None:
    """With salt-ssh, any other execution module in an SLS is an SSH call of more than a second (salt 3008.3)."""
    cheap = {"pillar", "grains", "config", "slsutil"}
    for path in (ROOT / "formulas" / formula).glob("*.*"):
        if path.suffix in (".sls", ".jinja"):
            called = re.findall(r"""salt\[['"](\w+)\.""", path.read_text())
            assert set(called) <= cheap, path


@pytest.mark.parametrize(
    ("virtual", "sets_it"),
    [({"virtual": "kvm"}, True), ({"virtual": "container"}, False), ({"virtual_subtype": "systemd-nspawn"}, False)],
)
def test_only_a_server_with_its_own_kernel_sets_kernel_options(
    renderer: Renderer, virtual: dict[str, str], sets_it: bool
) -> None:
    """In a container it would fail at each apply, or change the host."""
    grains = {**RELEASES["debian-12"], "virtual": "physical", "virtual_subtype": "", **virtual}
    base = renderer.formula("base", grains, {})
    assert base.errors == []
    of_the_kernel = {"/etc/sysctl.d/60-coursehub-ptrace.conf", "base-ptrace", "base-swap"}
    assert {c["__id__"] for c in base.chunks} & of_the_kernel == (of_the_kernel if sets_it else set())
