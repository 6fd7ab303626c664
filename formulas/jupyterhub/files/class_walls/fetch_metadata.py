"""Decide which requests the hub answers, by what the browser itself says about them (Fetch Metadata).

A script cannot set or remove these headers, whatever its origin. On a hub with one domain "same-origin" alone proves
nothing, because students' servers have the hub's origin. So pages answer only to people who open them (``navigate``),
and the API answers only to fetches of our own pages. For these JupyterHub also requires its XSRF token, which is in a
page that no script can read.
"""

from dataclasses import dataclass
from enum import Enum, auto

READS = frozenset({"GET", "HEAD"})
OURS = frozenset({"same-origin", "none"})
# Modes of a fetch by our own pages, also of EventSource. Not "no-cors": for it JupyterHub requires no XSRF token, but a
# script of the same origin can read the answer.
FETCHES = frozenset({"cors", "same-origin"})


class Kind(Enum):
    """The kind of a handler of the hub."""

    # A person opens it.
    PAGE = auto()
    # A script of our own pages, or a program with a token, sends requests to it.
    API = auto()
    # A form of another site may lead to it: a launch by an LMS, which is signed.
    LAUNCH = auto()


@dataclass(frozen=True)
class Asked:
    """The facts about a request before the person is known. Missing headers are empty."""

    kind: Kind
    method: str
    site: str
    mode: str
    dest: str
    origin: str
    own_origin: str


def refusal(asked: Asked) -> str:
    """Return why a request gets no answer, as a line for the person; empty if it gets one."""
    if not asked.site:
        # No current browser. A program has no visitor's cookies to abuse; an old browser sends "Origin" with changes.
        foreign = asked.method not in READS and asked.origin not in ("", asked.own_origin)
        return "Another site sent this form" if foreign and asked.kind is not Kind.LAUNCH else ""
    opened = asked.mode == "navigate" and asked.dest == "document"
    # A link on another site.
    linked = opened and asked.kind is Kind.PAGE and asked.method in READS
    if asked.site not in OURS and asked.kind is not Kind.LAUNCH and not linked:
        return "Another site asked for this"
    if asked.kind is Kind.API:
        answered = asked.mode in FETCHES and asked.dest in ("", "empty")
        return "" if answered else "This is for the hub's own pages and for programs with a token"
    return "" if opened else "Open this page itself: it does not answer scripts or frames"
