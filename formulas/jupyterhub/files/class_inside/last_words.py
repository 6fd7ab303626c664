"""Why a person's server ended, in words for the person who waits for it, from the systemd journal of its unit.

The person's own programs also write there. So a line of it is shown as plain text, shortened, and without secrets.
"""

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Lines of the journal that are read, characters of one that are shown, seconds that journalctl may take.
LINES, SHOWN, PATIENCE = 60, 200, 5
# Bytes of its output that are read: a student may write entries of many megabytes, and the hub's memory is for all.
MOST = 1 << 20
FIELDS = "MESSAGE,EXIT_CODE,EXIT_STATUS,_PID"


@dataclass(frozen=True)
class Reason:
    """Why a server ended, and what to do about it. ``quoted``: ``why`` repeats what the server itself wrote."""

    why: str
    todo: str
    quoted: bool = False

    def __str__(self) -> str:
        return f"{self.why}. {self.todo}"


TELL = "Tell your teacher: starting it again does not help"
TRY_AGAIN = "Start it again; if that happens twice, tell your teacher"
NO_ACCOUNT = Reason("Your account is not on the server", TELL)
# systemd's exit codes if it could not start the program at all (systemd.exec(5)).
BY_STATUS = {
    "200": Reason("Your home directory cannot be entered", TELL),
    "203": Reason("The course's programs are not on the server", TELL),
    "216": Reason("Your account has no group on the server", TELL),
    "217": NO_ACCOUNT,
    "226": Reason("Your home directory, or what the class shares, is not there", TELL),
}
KILLED = Reason(
    "It was killed, most likely because it needed more memory than a server may have",
    "Start it again: it opens without the notebooks that were open before",
)
# Patterns in its last line.
BY_WORDS = (
    (
        re.compile(r"No space left on device|Disk quota exceeded"),
        Reason("The disk is full", TELL),
    ),
    (
        re.compile(r"MemoryError|Cannot allocate memory"),
        Reason("It needed more memory than a server may have", TRY_AGAIN),
    ),
    (
        re.compile(r"can't start new thread|Resource temporarily unavailable"),
        Reason("It has more processes than a server may have", TRY_AGAIN),
    ),
    (
        re.compile(r"Read-only file system"),
        Reason("A place that it must write to is read-only", TELL),
    ),
)
NO_ACCESS = re.compile(r"(?:Permission denied|Not a directory|Is a directory|File exists): '(?P<path>[^']+)'")

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LOG_PREFIX = re.compile(r"^\[[A-Z] [0-9:. -]+\w*\]\s*")
_SECRET = re.compile(r"(?i)(token|secret|password|cookie|authorization|key)(['\"]?\s*[=:]\s*).*")
_LONG_WORD = re.compile(r"[0-9A-Fa-f]{20,}|[\w-]{40,}")


async def reason(unit: str, since: float, hidden: Iterable[str] = ()) -> Reason:
    """Return why a unit ended that was started at ``since`` (Unix time). The words in ``hidden`` are not shown."""
    # The newest lines may not be in the files yet.
    await _said_by("journalctl", "--sync")
    said = await _said_by(
        *("journalctl", "--quiet", "--no-pager", "--output=json", f"--output-fields={FIELDS}"),
        # The newest first: if the output is too long, the oldest lines are lost.
        *("--reverse", f"--unit={unit}.service", f"--since=@{int(since)}", f"--lines={LINES}"),
    )
    return explain(entries(said)[::-1], hidden)


def entries(journal: str) -> list[dict[str, Any]]:
    """Return the journal's entries in their order; an invalid or incomplete line is left out."""
    found = []
    for line in journal.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def explain(journal: Sequence[Mapping[str, Any]], hidden: Iterable[str] = ()) -> Reason:
    """Return why a server ended, from its last entries."""
    # journald itself sets fields that begin with _, so no program can pretend to be systemd.
    systemds = [entry for entry in journal if entry.get("_PID") == "1"]
    own = [text(entry) for entry in journal if entry.get("_PID") != "1"]
    last = next((line for line in reversed(own) if line.strip()), "")
    for entry in reversed(systemds):
        status = str(entry.get("EXIT_STATUS", ""))
        if entry.get("EXIT_CODE") == "exited" and status in BY_STATUS:
            return BY_STATUS[status]
        if entry.get("EXIT_CODE") in ("killed", "dumped") and status in ("9", "KILL"):
            return KILLED
    for pattern, known in BY_WORDS:
        if pattern.search(last):
            return known
    shown = clean(last, hidden)
    if found := NO_ACCESS.search(shown):
        return Reason(f"It has no access to {found['path']}", TELL, quoted=True)
    if not shown:
        return Reason("It said nothing before it ended", TRY_AGAIN)
    return Reason(f"The last that it said: {shown.rstrip('.')}", TRY_AGAIN, quoted=True)


def text(entry: Mapping[str, Any]) -> str:
    """Return an entry's message. journald encodes one that is not UTF-8 as a list of numbers."""
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        return bytes(number for number in message if isinstance(number, int) and 0 <= number < 256).decode(
            errors="replace"
        )
    return str(message or "")


def clean(line: str, hidden: Iterable[str] = ()) -> str:
    """Return a line that may be shown: without control characters and secrets, and shortened."""
    for word in hidden:
        if word:
            line = line.replace(word, "…")
    # Characters that change the direction of writing are not printable either.
    line = "".join(letter if letter.isprintable() else " " for letter in _COLOURS.sub("", line))
    line = _LOG_PREFIX.sub("", " ".join(line.split()))
    line = _LONG_WORD.sub("…", _SECRET.sub(r"\1\2…", line))
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


async def _said_by(*argv: str) -> str:
    """Return at most MOST bytes of a command's output; nothing if it takes too long."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    printed, said = process.stdout, b""
    try:
        async with asyncio.timeout(PATIENCE):
            while printed and len(said) < MOST and (part := await printed.read(MOST - len(said))):
                said += part
    except TimeoutError:
        said = b""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    # While its output is unread, asyncio would wait for its end for ever.
    while printed and await printed.read(MOST):
        pass
    await process.wait()
    return said.decode(errors="replace")
