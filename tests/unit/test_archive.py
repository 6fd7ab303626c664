"""``archive``: real tar, real GnuPG and real zips, of homes with files of every odd kind."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from runner.archive import names, reading, records, stream, zips
from runner.errors import CoursehubError
from runner.project import Project
from runner.verbs import archive
from tests.support.archiving import ADA, BOB, LEFT, PASSWORD, PROFESSOR, School, give, silent

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of several people"),
]


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    (tmp_path / "root").mkdir()
    made = School(tmp_path / "server", Project(tmp_path / "root"))
    monkeypatch.setattr(stream, "Source", made.as_source())
    return made


def make(school: School) -> tuple[Path, records.Record]:
    return archive.make(school.session, school.server, silent)


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MOST_HOLES", 16 << 20)


def zip_of(place: Path, record: records.Record, account: str) -> dict[str, bytes]:
    (made,) = [one for one in record.zips if one.account == account]
    with zipfile.ZipFile(place / "students" / made.file) as there:
        return {name: there.read(name) for name in there.namelist()}


def opened(place: Path, into: Path) -> Path:
    """Opens the archive as README.txt says."""
    gpg = [
        "gpg",
        "--homedir",
        str(place),
        "--batch",
        "--pinentry-mode",
        "loopback",
        "--passphrase-fd",
        "0",
        "--decrypt",
    ]
    clear = subprocess.run(
        [*gpg, str(place / "phys.tar.gpg")], input=PASSWORD.encode(), capture_output=True, check=True
    )
    into.mkdir()
    subprocess.run(["tar", "--extract", "--xattrs", "-C", str(into)], input=clear.stdout, check=True)
    return into


def digests(root: Path) -> dict[bytes, tuple[int, int, str]]:
    """Owner, mode and content by name."""
    found = {}
    for path in (Path(folder, name) for folder, folders, files in os.walk(root) for name in folders + files):
        seen = path.lstat()
        if stat.S_ISSOCK(seen.st_mode):
            continue
        content = ""
        if stat.S_ISREG(seen.st_mode):
            content = records.digest(path)
        elif stat.S_ISLNK(seen.st_mode):
            content = str(path.readlink())
        found[os.fsencode(path.relative_to(root))] = (seen.st_uid, seen.st_mode, content)
    return found


def fill(school: School) -> None:
    """Files of every odd kind."""
    home = school.root / "home" / ADA
    odd = (
        b"bytes \xff\xfe",
        b"new\nline",
        b"-rf",
        b"back\\..\\slash",
        b"CON.txt",
        b"dot.",
        b"Case",
        b"case",
        b"caf\xc3\xa9",
    )
    school.write(ADA, {"labs/lab.ipynb": "{}", **{b"labs/" + name: name for name in odd}})
    (home / "labs/empty/deeper").mkdir(parents=True)
    (home / "labs/link").symlink_to("/etc/shadow")
    (home / "labs/broken").symlink_to("nowhere")
    os.link(home / "labs/lab.ipynb", home / "labs/same.ipynb")
    os.mkfifo(home / "labs/pipe")
    socket.socket(socket.AF_UNIX).bind(str(home / "s"))
    with (home / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"middle")
    with (home / "some-holes").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    (home / "/".join([f"{school.root}/home/{ADA}/deep", *["d"] * 300])).mkdir(parents=True)
    os.utime(home / "labs/lab.ipynb", (0, 0))
    school.own(ADA)
    school.write(BOB, {"lab.ipynb": "bob's"})
    school.write(LEFT, {"lab.ipynb": "of one who left"})
    school.write(PROFESSOR, {"solution.ipynb": "secret"})


def test_archive_opens_and_equals_the_homes(school: School, tmp_path: Path) -> None:
    fill(school)
    place, _ = make(school)
    got = opened(place, tmp_path / "opened")
    whole = got / str(school.root).lstrip("/")
    assert digests(whole / "home") == digests(school.root / "home")
    assert (got / "hub/openings.log").read_text() == "opened\n"
    assert (got / "hub/jupyterhub.sqlite").read_bytes().startswith(b"SQLite format 3")
    assert (whole / f"home/{ADA}/sparse").stat().st_blocks < 1000, "holes are still holes"


def test_zip_has_the_students_files(school: School) -> None:
    fill(school)
    place, record = make(school)
    found = zip_of(place, record, ADA)
    wanted = {
        **{f"labs/{name}": name.encode() for name in ("-rf", "café")},
        "labs/lab.ipynb": b"{}",
        "labs/same.ipynb": b"{}",
        "labs/bytes %FF%FE": b"bytes \xff\xfe",
        "labs/new_line": b"new\nline",
        "labs/back_.._slash": b"back\\..\\slash",
        "labs/_CON.txt": b"CON.txt",
        "labs/dot_": b"dot.",
        "some-holes": b"\0" * (1 << 20) + b"end",
        "labs/empty/deeper/": b"",
    }
    assert wanted.items() <= found.items()
    assert sorted(found[name] for name in found if name.lower().startswith("labs/case")) == [b"Case", b"case"]
    assert len({name.casefold() for name in found}) == len(found)
    note = found[zips.NOTE].decode()
    for name in ("labs/link: a link", "labs/broken: a link", "labs/pipe: no ordinary file", "sparse: almost all of it"):
        assert name in note
    assert not {"labs/link", "labs/pipe", "sparse"} & found.keys()
    assert zip_of(place, record, BOB) == {"lab.ipynb": b"bob's"}


def test_zips_are_named_by_person_and_account(school: School) -> None:
    fill(school)
    _, record = make(school)
    assert {one.account: one.file for one in record.zips} == {
        ADA: f"Ada_Lovelace_{ADA}.zip",
        BOB: f"Bob__.._.._x_{BOB}.zip",
        LEFT: f"{LEFT}.zip",
    }, "a professor has none, one who left has one"


def test_nothing_of_another_is_in_a_zip(school: School) -> None:
    """Tries what a student can do: another's file in the own home, and a link to it; both by every kind of name."""
    school.write(BOB, {"lab.ipynb": "bob's secret"})
    school.write(ADA, {"mine": "m"})
    # ADA's home comes first in the stream, and so the only content of BOB's file.
    home, secret = school.root / "home" / ADA, school.root / "home" / BOB / "lab.ipynb"
    os.link(secret, home / "hard")
    (home / "soft").symlink_to(secret)
    give(home / "soft", ADA)
    shutil.copy(secret, home / "theirs")
    give(home / "theirs", BOB)
    (home / "of-root").write_text("key")
    (school.root / "class/groups/red/plan").write_text("of bob")
    give(school.root / "class/groups/red/plan", BOB)
    (school.root / "class/groups/red/part").write_text("of ada")
    give(school.root / "class/groups/red/part", ADA)
    place, record = make(school)
    found = zip_of(place, record, ADA)
    assert found.keys() == {"mine", "groups/red/part", zips.NOTE}
    assert "theirs" not in found[zips.NOTE].decode()
    assert next(one for one in record.zips if one.account == ADA).of_others == 3, "hard, theirs, of-root"
    assert zip_of(place, record, BOB) == {"lab.ipynb": b"bob's secret", "groups/red/plan": b"of bob"}


def test_archive_is_private_and_not_in_git(school: School) -> None:
    school.write(ADA, {"a": "secret"})
    place, record = make(school)
    assert place.parent == school.project.root / "archives/phys"
    for path in (school.project.archives, place.parent, place, place / "students"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert b"secret" not in (place / record.file).read_bytes()
    root = Path(__file__).resolve().parents[2]
    ignored = subprocess.run(["git", "-C", str(root), "check-ignore", "-q", "archives/phys/x.zip"], check=False)
    assert ignored.returncode == 0


def test_disk_is_looked_at_first(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    school.write(ADA, {"big": os.urandom(3 << 20)})
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10, 9, 5 << 20))
    monkeypatch.setattr(archive, "_SPARE", 0)
    with pytest.raises(CoursehubError, match=r"archives/phys: an archive of phys may need 0.0 GB, and 0.0 GB are free"):
        make(school)
    assert list((school.project.archives / "phys").iterdir()) == []


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ('tar() { command tar "$@" | head -c 5000; }; exec 2>/dev/null', "packing on the server failed"),
        ("exit 255", "SSH to 192.0.2.1 failed"),
    ],
)
def test_half_a_stream_is_no_archive(before: str, words: str, school: School) -> None:
    school.write(ADA, {"big": os.urandom(1 << 20)})
    school.access.before = before
    with pytest.raises(CoursehubError, match=words):
        make(school)
    assert list((school.project.archives / "phys").iterdir()) == []


@pytest.mark.parametrize("part", ["archive", "zip"])
def test_flipped_byte_is_found(part: str, school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between writing and reading back, as by a bad disk."""
    school.write(ADA, {"lab": os.urandom(100_000)})
    real = archive._read_back if part == "archive" else zips.verify

    def spoil(*arguments: Any) -> Any:
        path = arguments[1] if part == "archive" else arguments[0]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        return real(*arguments)

    monkeypatch.setattr(*((archive, "_read_back") if part == "archive" else (zips, "verify")), spoil)
    with pytest.raises(CoursehubError, match=r"damaged|cannot be read back|does not have"):
        make(school)
    assert records.newest(school.project, "phys") is None


def test_archive_is_current_until_something_changes(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    school.write(ADA, {"lab": "1", ".cache/x": "y"})
    monkeypatch.setattr(stream, "_PACK", stream._PACK.replace("$(date +%s)", "$(($(date +%s) + 1))"))
    place, record = make(school)
    while int(__import__("time").time()) <= record.began:
        pass

    def current() -> str | None:
        return archive.is_current(school.session, school.server)

    assert current() == f"archives/phys/{place.name}"
    (school.root / "home" / ADA / ".cache/x").write_text("z")
    assert current(), "a cache is not archived"
    (school.root / "home" / ADA / "lab").write_text("2")
    os.utime(school.root / "home" / ADA / "lab", (1, 1))
    assert current() is None, "an old time of writing hides nothing"


def test_damaged_archive_is_not_current(school: School) -> None:
    place, record = make(school)
    with (place / record.file).open("ab") as file:
        file.write(b"x")
    with pytest.raises(CoursehubError, match="has changed since it was made"):
        records.need_whole(school.project, place, record)


def test_interrupted_archive_leaves_nothing(school: School) -> None:
    left = school.project.archives / "phys" / ".unfinished-2026-11-30-000000"
    (left / "students").mkdir(parents=True)
    assert records.newest(school.project, "phys") is None
    make(school)
    assert not left.exists()


def test_entry_that_python_cannot_read_is_an_error(tmp_path: Path) -> None:
    """Python's tar reader takes a damaged header for the end, and would lose what comes after it."""
    (tmp_path / "a").write_text("a")
    subprocess.run(["tar", "-cf", str(tmp_path / "t"), "-C", str(tmp_path), "a", "a"], check=True)
    content = bytearray((tmp_path / "t").read_bytes())
    content[1024 + 148] ^= 1
    (tmp_path / "t").write_bytes(content)
    with (tmp_path / "t").open("rb") as source, pytest.raises(tarfile.TarError, match="damaged header"):
        reading.walk(source, lambda _tar, _entry: None)


def test_empty_folders_count_as_much_as_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take no space on the server, and each takes time and memory for a zip."""
    monkeypatch.setattr(zips, "MOST_FILES", 3)
    made = zips.Zips(tmp_path, {}, set(), "/home", "/srv/class/groups")
    with (tmp_path / "stream").open("w+b") as file:
        with tarfile.open(fileobj=file, mode="w|") as tar:
            for name in ("", "/a", "/b", "/c", "/d", "/e"):
                entry = tarfile.TarInfo(f"home/ada{name}")
                entry.type, entry.uname = tarfile.REGTYPE if name == "/a" else tarfile.DIRTYPE, "ada"
                tar.addfile(entry)
        file.seek(0)
        assert reading.walk(file, made.add) == 6
    (one,) = made.close()
    assert (one.files, one.left_out) == (1, 2)
    with zipfile.ZipFile(tmp_path / one.file) as there:
        assert there.namelist() == ["a", "b/", "c/", zips.NOTE]
        assert b"e: there are too many files" in there.read(zips.NOTE)
    zips.verify(tmp_path / one.file, one)


def test_many_equal_names_take_no_quadratic_time() -> None:
    taken = names.Taken()
    made = [taken.take("a") for _ in range(20_000)]
    assert len(set(made)) == len(made)
    assert made[:3] == ["a", "a (2)", "a (3)"]
    assert taken.take("a (2)") == "a (2) (2)"


def test_has_work_like_the_backups_look(school: School) -> None:
    def work() -> bool:
        return "work" in school.access.run("", school.source.work())

    for account in (ADA, BOB, LEFT, PROFESSOR):
        shutil.copytree("/etc/skel", school.root / "home" / account, dirs_exist_ok=True)
    assert not work()
    (school.root / "class/groups/red/plan").touch()
    assert work()
    (school.root / "class/groups/red/plan").unlink()
    (school.root / "home" / ADA / "lab").touch()
    assert work()
