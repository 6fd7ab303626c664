"""The course's lock, resolved by the real uv from wheels that the test makes, without an index."""

import datetime
import hashlib
import subprocess
from pathlib import Path

import pytest

from runner.errors import CoursehubError
from runner.packages import lock
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.unit
REPO = Path(__file__).parents[2]


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    folder.mkdir()
    make_wheel(folder, "labsuite", "1.0", requires="slowthing")
    make_wheel(folder, "arrays", "1.0")
    make_wheel(folder, "arrays", "2.0")
    make_wheel(folder, "frames", "1.0", requires="arrays<2")
    make_wheel(folder, "frames", "2.0", requires="arrays>=1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def root(tmp_path, wheels):  # noqa: ARG001  uv must see the wheels, not an index
    base = tmp_path / "root" / lock.BASE
    base.parent.mkdir(parents=True)
    base.write_text("# what all courses have\nlabsuite==1.0\n")
    (tmp_path / "root" / lock.OVERRIDES).write_text("slowthing ; python_version < '3'\n")
    return tmp_path / "root"


def pins(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines() if "==" in line and not line.startswith("#")]


def test_the_first_lock_is_resolved_with_the_base_and_hashes(root, wheels):
    path = lock.ensure_lock("algebra", ["frames"], root)
    assert path == root / "pillar/files/locks/algebra.txt"
    assert pins(path) == ["arrays==2.0", "frames==2.0", "labsuite==1.0"]
    for name in ("arrays-2.0", "frames-2.0", "labsuite-1.0"):
        digest = hashlib.sha256((wheels / f"{name}-py3-none-any.whl").read_bytes()).hexdigest()
        assert f"--hash=sha256:{digest}" in path.read_text()
    assert str(wheels) not in path.read_text()


def test_a_lock_that_fits_is_left_alone_and_needs_no_index(root, monkeypatch):
    path = lock.ensure_lock("algebra", ["frames", "Arrays>=1"], root)
    before = path.stat().st_mtime_ns
    monkeypatch.setenv("UV_FIND_LINKS", "/nowhere")
    assert lock.ensure_lock("algebra", ["arrays >= 1", "frames"], root) == path
    assert path.stat().st_mtime_ns == before


def test_changed_packages_are_found_and_the_line_is_named(root):
    path = lock.ensure_lock("algebra", ["frames"], root)
    before = path.read_bytes()
    with pytest.raises(CoursehubError) as raised:
        lock.ensure_lock("algebra", ["frames", "arrays"], root, line=14)
    assert raised.value.exit_code == 2
    assert str(raised.value) == (
        "pillar/courses/algebra.sls:14: the packages changed since pillar/files/locks/algebra.txt was made; "
        "run ./coursehub lock algebra"
    )
    assert path.read_bytes() == before


def test_a_changed_base_is_found_too(root):
    lock.ensure_lock("algebra", ["frames"], root)
    (root / lock.BASE).write_text("labsuite>=1.0\n")
    with pytest.raises(CoursehubError, match=r"run \./coursehub lock algebra"):
        lock.ensure_lock("algebra", ["frames"], root)


def test_a_comment_in_the_base_changes_nothing(root):
    lock.ensure_lock("algebra", ["frames"], root)
    (root / lock.BASE).write_text("# other words\nlabsuite==1.0  # why\n")
    lock.ensure_lock("algebra", ["frames"], root)


def test_relocking_keeps_versions_and_upgrade_does_not(root, wheels):
    (wheels / "arrays-2.0-py3-none-any.whl").rename(wheels / "hidden")
    path = lock.ensure_lock("algebra", ["arrays"], root)
    assert "arrays==1.0" in pins(path)
    (wheels / "hidden").rename(wheels / "arrays-2.0-py3-none-any.whl")
    assert "arrays==1.0" in pins(lock.make_lock("algebra", ["arrays", "frames"], root))
    assert "arrays==2.0" in pins(lock.make_lock("algebra", ["arrays", "frames"], root, upgrade=True))


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        (["nosuch"], "the Python index has no package nosuch; correct the name (search the index), or take it out"),
        (["arrays>=9"], "Because "),
        (["frames==1.0", "arrays==2.0"], "Because "),
    ],
)
def test_unresolvable_packages_are_one_line_and_keep_the_lock(root, packages, said):
    path = lock.ensure_lock("algebra", ["frames"], root)
    before = path.read_bytes()
    with pytest.raises(CoursehubError) as raised:
        lock.make_lock("algebra", packages, root, line=3)
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith(f"pillar/courses/algebra.sls:3: packages: {said}")
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_index_that_refuses_is_no_mistyped_name(root, monkeypatch):
    """uv calls a package of such an index unknown, and says in a hint why (as uv 0.9 said it of a 403)."""
    refused = (
        "  × No solution found when resolving dependencies:\n  ╰─▶ Because frames was not found in the package "
        "registry "
        "and you require frames, we can conclude that your requirements are unsatisfiable.\n\n      hint: An index "
        "(https://index/simple) returned a 403 Forbidden error. Check that the index URL is correct.\n"
    )
    monkeypatch.setattr(lock, "_run_uv", lambda argv, _: subprocess.CompletedProcess(argv, 1, "", refused))
    with pytest.raises(CoursehubError, match=r"refuses this computer \(403 Forbidden\); ask") as raised:
        lock.make_lock("algebra", ["frames"], root, line=3)
    assert raised.value.exit_code == 1
    assert "minutes" not in str(raised.value)


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("-r other.txt", "is not a package"),
        ("numpy\n--index-url x", "is not a package"),
        ("numpy >== 2", "is not a package"),
        ("", "is not a package"),
        ("tool @ file:///etc/passwd", "is an address"),
    ],
)
def test_what_is_not_a_package_is_refused_before_uv_sees_it(package, said):
    with pytest.raises(CoursehubError, match=said) as raised:
        lock.parse_packages([package], "pillar/courses/x.sls:7")
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith("pillar/courses/x.sls:7: packages: ")


def test_package_with_two_versions_is_refused():
    with pytest.raises(CoursehubError, match="numpy is listed twice"):
        lock.parse_packages(["numpy", "NumPy>=2"], "x")
    assert lock.parse_packages(["numpy", "NumPy"], "x") == ["numpy"]


def test_no_uv_is_one_line(root, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(CoursehubError, match=r"run \./coursehub again"):
        lock.ensure_lock("algebra", ["arrays"], root)


def test_the_locks_in_the_repository_carry_hashes_and_no_address():
    locks = [*REPO.glob("pillar/files/locks/*.txt"), *REPO.glob("formulas/*/files/*.txt")]
    assert len(locks) >= 5
    for path in locks:
        text = path.read_text()
        pinned = pins(path)
        assert pinned, path
        assert "://" not in text, path
        assert text.count("--hash=sha256:") >= len(pinned), path


def test_the_hub_and_the_courses_have_one_jupyterhub():
    """Hub and single-user servers must have the same version of JupyterHub."""
    found = set()
    for path in [REPO / "formulas/jupyterhub/files/hub.txt", *REPO.glob("pillar/files/locks/*.txt")]:
        found |= {pin for pin in pins(path) if pin.startswith("jupyterhub==")}
    found |= {pin for pin in pins(REPO / "formulas/course_env/files/base.txt") if pin.startswith("jupyterhub==")}
    assert len(found) == 1


def test_no_lock_is_resolved_below_the_table(root):
    """A version with a known vulnerability is neither chosen nor kept from an older lock."""
    lock.make_lock("algebra", ["frames==1.0"], root)
    table = root / "requirements/minimums.yaml"
    table.parent.mkdir()
    row = "{name: frames, kind: python, where: [course], minimum: '2.0', advisory: a, date: 2026-01-01, why: b}"
    table.write_text(f"minimums:\n  - {row}\n")
    assert "frames==2.0" in pins(lock.make_lock("algebra", ["frames"], root))
    with pytest.raises(CoursehubError, match="frames"):
        lock.make_lock("algebra", ["frames==1.0"], root)


def test_a_lock_says_when_it_was_resolved(root):
    path = lock.make_lock("algebra", ["frames"], root)
    assert lock.resolved_on(path) == datetime.datetime.now(datetime.UTC).date()
    path.write_text("frames==2.0\n")
    assert lock.resolved_on(path) is None
