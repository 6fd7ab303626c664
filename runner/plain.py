"""Text as a terminal may be given it."""

import unicodedata


def plain(text: str) -> str:
    """Return ``text`` without what is no letter, sign or space: a student's line may not steer a teacher's terminal.

    Escapes lose their first character and stay as harmless text. So do marks that turn the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable() or letter in "\n\t":
        return letter
    # No-break spaces, and lines' and paragraphs' ends of Unicode's own.
    return " " if unicodedata.category(letter).startswith("Z") else ""
