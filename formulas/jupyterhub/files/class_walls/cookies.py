"""Decide which cookie counts if several have the same name.

Another host of the same domain, or a script of the same origin, can set a cookie with any name, and with a path that
makes it come first. Python keeps the last one; a wrong cookie there would sign a person out.
"""

from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie


def values(header: str, name: str) -> list[str]:
    """Return the values of all cookies with one name, in a request's ``Cookie`` header."""
    found = []
    for part in header.split(";"):
        if part.partition("=")[0].strip() != name:
            continue
        try:
            found += [morsel.value for morsel in SimpleCookie(part.strip()).values()]
        except CookieError:
            continue
    return found


def sound(header: str, name: str, good: Callable[[str], bool], best: Callable[[str], bool]) -> str | None:
    """Return the cookie that counts: the first ``good`` one that is also ``best``, otherwise the first good one."""
    fitting = [value for value in dict.fromkeys(values(header, name)) if good(value)]
    return next((value for value in fitting if best(value)), fitting[0] if fitting else None)
