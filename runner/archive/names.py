"""Names in a zip that every system can unpack, from names on the server, which may have any bytes."""

from __future__ import annotations

import unicodedata

#: Characters that Windows refuses in a name. A backslash would even be a folder there.
_REFUSED = frozenset('<>:"/\\|?*')
#: Names of devices on Windows, with any ending.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in "123456789")})
#: Bytes of one path in a zip.
LONGEST = 4000


def safe(path: str) -> str | None:
    """A relative path for a zip; None if it is too long. Bytes that are not text become ``%`` and their number.

    No part of it leads out of the folder into which the zip is unpacked.
    """
    made = "/".join(_part(part) for part in path.split("/") if part)
    return made if 0 < len(made.encode()) <= LONGEST else None


def _part(name: str) -> str:
    made = "".join(_character(one) for one in name)
    # Windows removes dots and spaces at the end.
    stem = made.rstrip(". ")
    made = stem + "_" * (len(made) - len(stem))
    return f"_{made}" if made.split(".")[0].rstrip().lower() in _DEVICES else made


def _character(one: str) -> str:
    if "\udc80" <= one <= "\udcff":
        return f"%{ord(one) - 0xDC00:02X}"
    # Control characters; some turn the order of letters, so that a program looks like a picture.
    return "_" if one in _REFUSED or unicodedata.category(one).startswith("C") else one


class Taken:
    """The paths of one zip. Two never differ only in case, because Windows and macOS would mix them up."""

    def __init__(self) -> None:
        # The number that was given last, by path. Without it, many equal names would take quadratic time.
        self._last: dict[str, int] = {}

    def take(self, path: str) -> str:
        """The path, or if it is taken, the same with a number."""
        head, slash, name = path.rpartition("/")
        stem, dot, ending = name.rpartition(".")
        stem, ending = (stem, dot + ending) if stem else (name, "")
        made, first = path, _folded(path)
        while _folded(made) in self._last:
            self._last[first] = self._last.get(first, 1) + 1
            made = f"{head}{slash}{stem} ({self._last[first]}){ending}"
        self._last[_folded(made)] = 1
        return made


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def of_person(account: str, name: str | None) -> str:
    """The file name of a person's zip, such as ``Ada_Lovelace_ada.zip``."""
    whole = f"{name[:80]} {account}" if name else account
    return f"{safe('_'.join(whole.replace('/', ' ').split()))}.zip"
