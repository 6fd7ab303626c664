"""Bytes to text, in whatever encoding a spreadsheet or an LMS saved them."""

from __future__ import annotations

import codecs
import re
import unicodedata

from runner.classlist.entry import refused
from runner.errors import USAGE, CoursehubError

#: Punctuation that Windows-1252 adds and that people and their programs do type.
_PUNCTUATION = frozenset("’‘“”‚„–—…´·•«»°§€£\u00a0\u00ad")
#: What Western text does not have: letters of other uses, an amount's sign or an opening quote at a word, a capital
#: within a word, three letters in a row that are none of ASCII's.
_ODD = re.compile(
    r"[ªºµƒðþ×÷]|[^\W\d_][£§€‘“„‚]|[£§€][^\W\d_]|[a-zß-öø-ÿ][À-ÖØ-ÞŠŽŸŒ]|[A-Z][À-ÖØ-ÞŠŽŸŒ][a-z]|[^\W\d_a-zA-Z]{3}"
)
#: Encodings to propose, with who writes them; Python's own names.
_PROPOSED = "cp1250 (Central Europe), cp1251 (Cyrillic), cp1253 (Greek), cp1254 (Turkish), gb18030 or big5 (Chinese), "
_PROPOSED += "shift_jis (Japanese), euc-kr (Korean), mac-roman (old Macs)"


def decode(content: bytes, shown: str, encoding: str | None = None, notes: list[str] | None = None) -> str:
    """Text from bytes: by the byte order mark, by the zeros that UTF-16 has, as UTF-8, else as Windows-1252.

    ``encoding`` is what the teacher said; ``notes`` hears of an encoding that was guessed. Raises CoursehubError (2)
    for bytes that are no text, for UTF-8 with damaged bytes (with their line), and for text that is neither UTF nor
    looks Western.
    """
    if encoding:
        return _decoded(content, _known(encoding), shown)
    for mark, unicode in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return _decoded(content, unicode, shown)
    head = content[:1000]
    if head[1::2].count(0) > len(head) // 4:
        return _decoded(content, "utf-16-le", shown)
    if head[::2].count(0) > len(head) // 4:
        return _decoded(content, "utf-16-be", shown)
    if b"\0" in content:
        raise refused(shown, "is not text", "export the list as CSV or Excel")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse_damaged_utf8(content, error, shown)
    return _western(content, shown, notes if notes is not None else [])


def _known(encoding: str) -> str:
    try:
        # Not codecs.lookup alone: it knows hex and rot13 too, which make no text of bytes.
        b"a".decode(encoding)
        found = codecs.lookup(encoding)
    except (LookupError, UnicodeError) as error:
        raise CoursehubError(
            f"--encoding {encoding!r}: Python knows no such encoding; take one such as {_PROPOSED}", exit_code=USAGE
        ) from error
    return found.name


def _refuse_damaged_utf8(content: bytes, error: UnicodeDecodeError, shown: str) -> None:
    """Windows-1252 read as UTF-8 has almost no valid sequence; text with some of them is UTF-8 with bad bytes."""
    good = bad = 0
    for found in re.finditer(rb"[\x80-\xff]+", content):
        try:
            good += len(found[0].decode("utf-8"))
        except UnicodeDecodeError:
            bad += 1
    if good > bad:
        line = content.count(b"\n", 0, error.start) + 1
        raise CoursehubError(
            f"{shown}:{line}: the file is UTF-8, and a letter of this line is not; correct the line and save the file "
            "as UTF-8",
            exit_code=USAGE,
        )


def _western(content: bytes, shown: str, notes: list[str]) -> str:
    """Windows-1252 where that gives words; other 8-bit encodings read as it give strings of odd letters."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unknown(shown, line) from error
    odd = next((number for number, row in enumerate(text.splitlines(), 1) if _is_odd(row)), None)
    if odd:
        raise _unknown(shown, odd)
    notes.append(
        "the file is not UTF-8 and was read as Windows-1252 (Western Europe); if names look wrong, answer no, and save "
        "it as UTF-8 or give --encoding, such as cp1250 (Central Europe)"
    )
    return text


def _is_odd(line: str) -> bool:
    """Whether a line looks like another encoding: signs within words, capitals within small letters, long runs."""
    if any(ord(letter) > 0x7E and letter not in _PUNCTUATION and not letter.isalpha() for letter in line):
        return True
    return _ODD.search(line) is not None


def _unknown(shown: str, line: int) -> CoursehubError:
    return CoursehubError(
        f"{shown}:{line}: the file is not UTF-8, and this line is not Western European either; save it as UTF-8, or "
        f"say what it is with --encoding: {_PROPOSED}",
        exit_code=USAGE,
    )


def _decoded(content: bytes, encoding: str, shown: str) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        raise refused(shown, f"has bytes that are no text in {encoding}", "save it as CSV in UTF-8") from error
    return text.removeprefix("\ufeff")


def clean(cell: str) -> str:
    """A cell as one line of visible text."""
    text = unicodedata.normalize("NFC", cell)
    text = "".join(letter if unicodedata.category(letter)[0] not in "CZ" else _space(letter) for letter in text)
    return " ".join(text.split())


def _space(letter: str) -> str:
    # A joiner belongs to how some names are written, and is no more visible than what else has no place here.
    return " " if unicodedata.category(letter)[0] == "Z" or letter in "\t\r\n" else ""


def plain(text: str) -> str:
    """Text for comparing: small letters and digits only, without accents. "E-Mail Address" is "emailaddress"."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", clean(text)).casefold() if letter.isalnum())
