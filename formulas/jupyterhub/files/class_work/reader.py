"""Read in one person's home, or in a team's directory, as that person. ``service`` starts this for each request.

It has only the student's own rights, so nothing that a student leaves in a home leads to more than the student may read
anyway. Links are never followed. The arguments are the ids to become. Standard input is the request (JSON; arguments
would show names in the process list). Standard output is one line of JSON, then the content.

It starts as root, becomes the student when all of Python is loaded, and then starts no other program. The kernel
therefore protects it from the student's own processes in the same step. A program that was started as the student would
be open to them until it protects itself.
"""

import contextlib
import ctypes
import json
import mimetypes
import os
import resource
import stat
import sys
import time
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

CHUNK = 1 << 16
# Entries of one directory that are shown.
ENTRIES = 2000
# Most bytes that the page shows; bigger files can be downloaded.
TEXT, IMAGE, NOTEBOOK = 2_000_000, 20_000_000, 20_000_000
# Limits of a folder that is downloaded as one archive.
PACK_FILES, PACK_DEPTH = 5000, 32
# The times that a ZIP archive can store (1980 to 2107), with a margin of a day for time zones.
OLDEST, NEWEST = 315_619_200, 4_354_732_800
# Limits: seconds of processor time, bytes of memory.
COMPUTING, MEMORY = 60, 512 << 20
RENDER_MEMORY = 1536 << 20
# linux/prctl.h
PR_SET_DUMPABLE = 4

PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Non-blocking: opening a FIFO could wait for ever.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Refused(Exception):
    """The content is not sent; the teacher reads the message instead."""


def main() -> None:
    """Do what standard input asks. The answer's first line has ``refused`` if there is no content."""
    become(int(sys.argv[1]), int(sys.argv[2]))
    give_nothing_to_gain()
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (COMPUTING, COMPUTING))
    memory = RENDER_MEMORY if asked["do"] == "render" else MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    answer = Answer(sys.stdout.buffer)
    try:
        DO[asked["do"]](opened(asked["root"], asked["path"]), asked, answer)
    except (Refused, OSError, MemoryError) as problem:
        if answer.begun:
            # The other end must not take an incomplete answer for the whole.
            sys.exit("reader: ended in the middle")
        answer.begin(refused=reason(problem))
    answer.out.flush()


def reason(problem: BaseException) -> str:
    """Return the message for the teacher."""
    if isinstance(problem, Refused):
        return str(problem)
    if isinstance(problem, FileNotFoundError):
        return "It does not exist (any more)."
    if isinstance(problem, PermissionError):
        return "Its owner has removed the right to read it."
    if isinstance(problem, MemoryError):
        return "It is too big to be shown; download it."
    return f"It cannot be read ({getattr(problem, 'strerror', '')})."


class Answer:
    """One line of JSON, then the content."""

    def __init__(self, out: BinaryIO) -> None:
        self.out = out
        self.begun = False

    def begin(self, **words: Any) -> None:
        """Write the first line."""
        self.begun = True
        self.out.write(json.dumps(words).encode() + b"\n")


def become(uid: int, gid: int) -> None:
    """Exchange root's rights for an account's, permanently; exit if that fails."""
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as problem:
        sys.exit(f"reader: it cannot become {uid} ({problem.strerror})")


def give_nothing_to_gain() -> None:
    """Exit at once unless this is a student's process without any of root's rights."""
    # It has fewer limits than its student's own programs, so they must not read or trace it. The kernel already
    # prevents that, unless fs.suid_dumpable allows to trace setuid programs.
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        sys.exit("reader: its memory could not be closed")
    real, effective, saved = os.getresuid()
    if 0 in {real, effective, saved, *os.getresgid()} or os.getgroups():
        sys.exit("reader: started with rights that it must not have")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def opened(root: str, parts: list[str]) -> int:
    """Open the requested file, step by step from the home, following no link. Raises Refused, OSError."""
    place = os.open(root, DIRECTORY)
    for number, part in enumerate(parts):
        if part in {"", ".", ".."} or "/" in part or "\0" in part:
            raise Refused("There is no such file.")
        kind = os.lstat(part, dir_fd=place).st_mode
        if stat.S_ISLNK(kind):
            raise Refused("This is a link to another place; it is not followed.")
        if number < len(parts) - 1 and not stat.S_ISDIR(kind):
            raise FileNotFoundError
        if not stat.S_ISDIR(kind) and not stat.S_ISREG(kind):
            raise Refused("This is no file (a pipe, a socket or a device).")
        # If it was exchanged meanwhile, O_NOFOLLOW refuses a link, and a pipe without a writer ends at once.
        inner = os.open(part, DIRECTORY if stat.S_ISDIR(kind) else FILE, dir_fd=place)
        os.close(place)
        place = inner
    mode = os.fstat(place).st_mode
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise Refused("This is no file (a pipe, a socket or a device).")
    return place


def is_directory(place: int) -> bool:
    """Return whether it is a directory."""
    return stat.S_ISDIR(os.fstat(place).st_mode)


def kind_of(mode: int) -> str:
    """Return the kind of a directory entry."""
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "special"


def look(place: int, asked: dict[str, Any], answer: Answer) -> None:
    """Answer with a directory's entries, or with how a file can be shown."""
    if not is_directory(place):
        kind, media = shown_as(place, asked["path"][-1])
        answer.begin(is_="file", kind=kind, type=media, size=os.fstat(place).st_size)
        return
    entries: list[dict[str, Any]] = []
    with os.scandir(place) as found:
        for entry in found:
            if len(entries) == ENTRIES:
                break
            with contextlib.suppress(OSError):
                known = entry.stat(follow_symlinks=False)
                entries.append(
                    {
                        "name": entry.name,
                        "kind": kind_of(known.st_mode),
                        "size": known.st_size,
                        "changed": time.strftime("%Y-%m-%d %H:%M", time.localtime(known.st_mtime)),
                    }
                )
    # Hidden entries come last: a home has many of them, and a teacher looks for what the student made.
    entries.sort(key=lambda entry: (entry["name"].startswith("."), entry["kind"] != "folder", entry["name"].casefold()))
    answer.begin(is_="folder", entries=entries, more=len(entries) == ENTRIES)


def shown_as(place: int, name: str) -> tuple[str, str]:
    """Return whether a file is a notebook, a picture, text or other (only a download), and its media type."""
    size = os.fstat(place).st_size
    if name.endswith(".ipynb") and size <= NOTEBOOK:
        return "notebook", "text/html; charset=utf-8"
    start = os.pread(place, CHUNK, 0)
    for beginning, media in PICTURES.items():
        if start.startswith(beginning) and size <= IMAGE:
            return "picture", media
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP" and size <= IMAGE:
        return "picture", "image/webp"
    if size > TEXT or b"\0" in start:
        return "other", mimetypes.guess_type(name)[0] or "application/octet-stream"
    try:
        os.pread(place, TEXT, 0).decode()
    except UnicodeDecodeError:
        return "text", "text/plain; charset=windows-1252"
    return "text", "text/plain; charset=utf-8"


def show(place: int, asked: dict[str, Any], answer: Answer) -> None:
    """Send a text or a picture as it is."""
    if is_directory(place):
        raise Refused("This is a folder.")
    kind, media = shown_as(place, asked["path"][-1])
    if kind not in {"text", "picture"}:
        raise Refused("This cannot be shown; download it.")
    content = os.pread(place, IMAGE, 0)
    answer.begin(type=media, size=len(content))
    answer.out.write(content)


def render(place: int, asked: dict[str, Any], answer: Answer) -> None:
    """Send a notebook as a page, rendered by the nbconvert of the course's environment."""
    if is_directory(place):
        raise Refused("This is a folder.")
    # Only now, with the student's rights: root must not run code of the course's packages.
    packages = f"{asked['course']}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    sys.path[:] = [*(path for path in sys.path if not path.endswith("dist-packages")), packages]
    os.environ["JUPYTER_PATH"] = f"{asked['course']}/share/jupyter"
    import nbformat
    from nbconvert import HTMLExporter

    try:
        notebook = nbformat.reads(os.pread(place, NOTEBOOK, 0).decode(), as_version=4)
        page, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": asked["path"][-1]}})
    except MemoryError:
        raise
    except Exception as problem:
        # An incomplete notebook, or one that was made to break nbconvert.
        raise Refused(f"This notebook cannot be shown ({type(problem).__name__}); download it.") from problem
    content = page.encode("utf-8", "replace")
    answer.begin(type="text/html; charset=utf-8", size=len(content))
    answer.out.write(content)


def fetch(place: int, asked: dict[str, Any], answer: Answer) -> None:
    """Send a complete file."""
    if is_directory(place):
        raise Refused("This is a folder.")
    size = os.fstat(place).st_size
    if size > asked["most"]:
        raise Refused(f"It has {size >> 20} MB; a download has at most {asked['most'] >> 20} MB.")
    answer.begin(size=size)
    for chunk in content_of(place, size):
        answer.out.write(chunk)


def content_of(place: int, size: int) -> Iterator[bytes]:
    """Yield a file's bytes, at most ``size``: the file may grow for ever."""
    done = 0
    while done < size and (chunk := os.pread(place, min(CHUNK, size - done), done)):
        done += len(chunk)
        yield chunk


def pack(place: int, asked: dict[str, Any], answer: Answer) -> None:
    """Send a folder as a ZIP archive; a file in it lists what was left out."""
    if not is_directory(place):
        raise Refused("This is a file.")
    found, total = [], 0
    left_out: list[str] = []
    for parts, known in walk(place, (), left_out):
        total += known.st_size
        if total > asked["most"]:
            raise Refused(f"It has more than {asked['most'] >> 20} MB; download the folders in it one by one.")
        found.append((parts, known))
    answer.begin()
    with zipfile.ZipFile(answer.out, "w", zipfile.ZIP_DEFLATED, allowZip64=True, compresslevel=1) as z:
        for parts, known in found:
            try:
                one = inner_file(place, parts)
            except OSError:
                left_out.append("/".join(parts))
                continue
            try:
                moment = time.localtime(min(max(known.st_mtime, OLDEST), NEWEST))[:6]
                entry = zipfile.ZipInfo(in_archive("/".join(parts)), moment)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with z.open(entry, "w", force_zip64=True) as member:
                    for chunk in content_of(one, known.st_size):
                        member.write(chunk)
            finally:
                os.close(one)
        if left_out:
            text = "Not in this archive (links, pipes, and what its owner may not read):\n"
            z.writestr("LEFT-OUT.txt", text + "".join(f"{in_archive(name)}\n" for name in left_out))


def walk(place: int, above: tuple[str, ...], left_out: list[str]) -> Iterator[tuple[tuple[str, ...], os.stat_result]]:
    """Yield the files below a directory, following no link. Raises Refused if there are too many."""
    count = 0
    waiting = [above]
    while waiting:
        parts = waiting.pop()
        try:
            directory = inner_directory(place, parts)
        except OSError:
            left_out.append("/".join(parts))
            continue
        with os.scandir(directory) as entries:
            for entry in entries:
                count += 1
                if count > PACK_FILES:
                    raise Refused(f"It has more than {PACK_FILES} files; download the folders in it one by one.")
                inner = (*parts, entry.name)
                try:
                    known = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(known.st_mode) and len(inner) < PACK_DEPTH:
                    waiting.append(inner)
                elif stat.S_ISREG(known.st_mode):
                    yield inner, known
                else:
                    left_out.append("/".join(inner))
        os.close(directory)


def inner_directory(place: int, parts: tuple[str, ...]) -> int:
    """Open a directory below another, following no link."""
    directory = os.dup(place)
    for part in parts:
        try:
            inner = os.open(part, DIRECTORY, dir_fd=directory)
        finally:
            os.close(directory)
        directory = inner
    return directory


def inner_file(place: int, parts: tuple[str, ...]) -> int:
    """Open a regular file below a directory, following no link. Raises OSError."""
    directory = inner_directory(place, parts[:-1])
    try:
        found = os.open(parts[-1], FILE, dir_fd=directory)
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError
    return found


def in_archive(name: str) -> str:
    """Return a name that any computer can unpack, below the archive's folder; the input may be any bytes."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join("_" if letter in '\\:*?"<>|' or not letter.isprintable() else letter for letter in text)


DO = {"look": look, "show": show, "render": render, "fetch": fetch, "pack": pack}

if __name__ == "__main__":
    main()
