"""The page that is shown in a frame of another page, such as an LMS's: a link that opens the hub in a new window.

The hub itself is never shown in a frame: a page around it could make people click what they do not see. This page uses
no session, and its only link just opens the hub.
"""

from typing import Any

from class_walls.fetch_metadata import Asked

POLICY = "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors *"
_STYLE = "body{font:18px/1.5 sans-serif;margin:2em;text-align:center}a{font-weight:bold}"
# Its SHA-256; a test compares them.
_STYLE_HASH = "cFIHl6mHFNaE5Uwp0y6p2BXY/KQLF94kPJEITRYqQ7Y="
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    f"<title>Open in a new window</title><style>{_STYLE}</style>"
    '<p>This course does not work inside another page.<p><a href="/" target="_blank" rel="noopener">Open it in a new '
    "window</a><p>Teachers: let your LMS open the link in a new window."
)


def in_a_frame(asked: Asked) -> bool:
    """Return whether the request comes from a frame of another page."""
    return asked.mode == "navigate" and asked.dest in ("iframe", "frame", "embed", "object")


def show(handler: Any) -> None:
    """Answer with the page that has the link."""
    handler.set_status(403)
    handler.set_header("Content-Type", "text/html; charset=utf-8")
    handler.set_header("Content-Security-Policy", POLICY.format(style=_STYLE_HASH))
    handler.clear_header("Cross-Origin-Resource-Policy")
    handler.finish(_PAGE)
