"""What root does when an image is made: it decides for which environment the image is, and seals it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from class_warm import areas, root, seal
from class_warm.areas import NoImage

pytestmark = pytest.mark.unit


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an image will be; the link to the environment is beside it. The disk has space."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "env").symlink_to(tmp_path / "one")
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=root.ROOM, f_frsize=1))
    return tmp_path / "kernel.image"


def ask(verb: str, image: Path, *modules: str) -> int:
    """Run the program in this process; return its exit code."""
    argv, sys.argv = sys.argv, ["root.py", verb, str(image), str(image.parent / "env"), *modules]
    try:
        return root.main()
    finally:
        sys.argv = argv


def check(image: Path, environment: str) -> list[str]:
    """Check the seal as a start does; return the modules."""
    descriptor = areas.opened(str(image))
    try:
        return seal.check(str(image), descriptor, str(image.parent / environment))
    finally:
        os.close(descriptor)


def make(image: Path, content: bytes = b"pages") -> None:
    """Write a new image, as the unit does between the two steps of root."""
    Path(f"{image}{root.NEW}").write_bytes(content)


def test_image_is_sealed_for_the_environment_of_before(made: Path) -> None:
    """A switch to another environment while an image is made does not make it one of the other."""
    assert ask("before", made, "numpy") == 0
    assert Path(f"{made}{root.FOR}").read_text() == str(made.parent / "one")
    make(made)
    (made.parent / "env").unlink()
    (made.parent / "env").symlink_to(made.parent / "two")
    assert ask("after", made, "numpy") == 0
    assert check(made, "one") == ["numpy"]
    with pytest.raises(NoImage, match="another environment"):
        check(made, "two")
    # The next one begins by removing it.
    assert ask("before", made, "numpy") == 0
    assert not made.exists()
    assert not Path(f"{made}{seal.SUFFIX}").exists()


def test_image_serves_until_the_new_one_is_there(made: Path) -> None:
    ask("before", made)
    make(made)
    ask("after", made)
    make(made, b"a rest of an attempt that was cut off")
    assert ask("before", made) == 0
    assert check(made, "one") == []
    assert not Path(f"{made}{root.NEW}").exists()


def test_image_that_changes_after_its_seal_is_refused(made: Path) -> None:
    """As by a process of the package, which was left running and still has the file open."""
    ask("before", made)
    make(made)
    left = os.open(f"{made}{root.NEW}", os.O_WRONLY)
    ask("after", made)
    os.utime(made, ns=(1, 1))
    # Of another length: before Linux 6.13, a time may be the same for some milliseconds.
    os.pwrite(left, b"another", 0)
    os.close(left)
    with pytest.raises(NoImage, match="not the one that was sealed"):
        check(made, "one")


def test_image_of_another_boot_is_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask("before", made)
    make(made)
    ask("after", made)
    monkeypatch.setattr(seal, "boot", lambda: "the next")
    with pytest.raises(NoImage, match="another boot"):
        check(made, "one")


def test_no_image_on_a_full_disk(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=1, f_frsize=4096))
    assert ask("before", made) == 1
    assert capsys.readouterr().err == "coursehub: no image of the kernel: less than 2 GB of the disk are free\n"


@pytest.mark.parametrize("odd", ["nothing", "pipe", "link"])
def test_no_seal_for_what_is_no_file(made: Path, odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    """systemd makes the file in a directory of root's, so this is a second wall."""
    ask("before", made)
    new = Path(f"{made}{root.NEW}")
    if odd == "pipe":
        os.mkfifo(new)
    elif odd == "link":
        new.symlink_to("/dev/null")
    assert ask("after", made) == 1
    assert capsys.readouterr().err.startswith("coursehub: no image of the kernel: ")
    assert not made.exists()


def test_half_a_seal_is_none(made: Path) -> None:
    ask("before", made)
    make(made)
    ask("after", made)
    for content in (b"", b"(", b"i\x01\x00\x00\x00", b"\xff"):
        Path(f"{made}{seal.SUFFIX}").write_bytes(content)
        with pytest.raises(NoImage, match="no whole seal"):
            check(made, "one")


def test_areas_of_this_process() -> None:
    """Its program and its stack, with rights and places; pages that it wrote are its own."""
    found = areas.areas(os.getpid())
    (stack,) = (area for area in found if area.name == "[stack]")
    assert (stack.rights[:2], stack.protection & 3, stack.length % areas.PAGE) == ("rw", 3, 0)
    assert any(area.name == os.path.realpath(sys.executable) and area.inode for area in found)
    pages = list(areas.own_pages(os.getpid(), stack))
    assert pages
    assert all(stack.start <= page < stack.end for page in pages)
    assert areas.runs([0, areas.PAGE, 40 * areas.PAGE]) == [
        (0, 2 * areas.PAGE),
        (40 * areas.PAGE, 41 * areas.PAGE),
    ]
