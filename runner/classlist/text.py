"""Decodes bytes in whatever encoding a spreadsheet or an LMS used."""

from __future__ import annotations

import codecs
import re
import unicodedata

from runner.classlist.entry import refused
from runner.errors import USAGE, CoursehubError

#: Punctuation that Windows-1252 adds and that people and programs really use.
_PUNCTUATION = frozenset("’‘“”‚„–—…´·•«»°§€£\u00a0\u00ad")
#: Patterns that Western text does not have: letters of other languages, a currency sign or opening quote next to a
#: word, a capital inside a word, three non-ASCII letters in a row.
_ODD = re.compile(
    r"[ªºµƒðþ×÷]|[^\W\d_][£§€‘“„‚]|[£§€][^\W\d_]|[a-zß-öø-ÿ][À-ÖØ-ÞŠŽŸŒ]|[A-Z][À-ÖØ-ÞŠŽŸŒ][a-z]|[^\W\d_a-zA-Z]{3}"
)
#: Encodings to suggest, with who uses them; Python's own names.
_PROPOSED = "cp1250 (Central Europe), cp1251 (Cyrillic), cp1253 (Greek), cp1254 (Turkish), gb18030 or big5 (Chinese), "
_PROPOSED += "shift_jis (Japanese), euc-kr (Korean), mac-roman (old Macs)"


def decode(content: bytes, shown: str, encoding: str | None = None, notes: list[str] | None = None) -> str:
    """Decode text: by its byte order mark, by the zeros of UTF-16, as UTF-8, or else as Windows-1252.

    ``encoding`` is the teacher's choice; ``notes`` gets a line if the encoding was guessed. Raises CoursehubError (2)
    for bytes that are not text, for damaged UTF-8 (with its line), and for text that is neither UTF nor looks Western.
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
        # codecs.lookup alone would accept hex and rot13, which do not decode bytes to text.
        b"a".decode(encoding)
        found = codecs.lookup(encoding)
    except (LookupError, UnicodeError) as error:
        raise CoursehubError(
            f"--encoding {encoding!r}: Python knows no such encoding; take one such as {_PROPOSED}", exit_code=USAGE
        ) from error
    return found.name


def _refuse_damaged_utf8(content: bytes, error: UnicodeDecodeError, shown: str) -> None:
    """Windows-1252 text contains almost no valid UTF-8 sequence, so text with some of them is damaged UTF-8."""
    good = bad = 0
    for found in re.finditer(rb"[\x80-\xff]+", content):
        try:
            good += len(found[0].decode("utf-8"))
        except UnicodeDecodeError:
            bad += 1
    if good and good >= bad:
        line = content.count(b"\n", 0, error.start) + 1
        raise CoursehubError(
            f"{shown}:{line}: the file is UTF-8, and a letter of this line is not; correct the line and save the file "
            "as UTF-8",
            exit_code=USAGE,
        )


def _western(content: bytes, shown: str, notes: list[str]) -> str:
    """Decode as Windows-1252 if that gives words.

    Other 8-bit encodings, read as Windows-1252, give strings of odd letters.
    """
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
    """Whether a line looks like another encoding: symbols or capitals inside words, or many non-ASCII letters."""
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
    # Joiners are a part of some written names, but like other invisible characters they are not kept here.
    return " " if unicodedata.category(letter)[0] == "Z" or letter in "\t\r\n" else ""


def plain(text: str) -> str:
    """Text for comparison: lower-case letters and digits only, so "E-Mail Address" becomes "emailaddress"."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", clean(text)).casefold() if letter.isalnum())
