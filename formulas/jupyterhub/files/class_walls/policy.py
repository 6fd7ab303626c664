"""What the hub's pages may load: a Content-Security-Policy that runs the scripts of the hub's own templates alone.

Each answer has a nonce of its own. It is put into the templates' source, before any value is filled in: a script that
comes in by a value has none.
"""

import re
from typing import Any

from jinja2.ext import Extension

TAGS = re.compile(r"<(script|style)(?=[\s>])")
# A style attribute is refused by the policy; page.html hides what is marked so.
HIDDEN = re.compile(r'style="display:\s*none;?"')


class Nonces(Extension):
    """Gives each script and style of a template the nonce of the answer, the variable ``csp_nonce``."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:  # noqa: ARG002
        """Return a template's source with nonces."""
        return HIDDEN.sub("data-starts-hidden", TAGS.sub(r'<\1 nonce="{{ csp_nonce }}"', source))


def page_policy(nonce: str, *, any_style: bool = False, forms_to: tuple[str, ...] = ()) -> str:
    """Return the policy of a page. ``any_style``: JupyterHub's admin page makes its styles itself.

    ``forms_to``: where the answer to a form may lead besides this origin, as origins.
    """
    styles = "'unsafe-inline'" if any_style else f"'nonce-{nonce}'"
    return "; ".join(
        [
            "default-src 'none'",
            # Not 'self': on one domain that has students' files too. require.js has the nonce and may load its modules.
            f"script-src 'nonce-{nonce}' 'strict-dynamic'",
            f"style-src 'self' {styles}",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            " ".join(["form-action 'self'", *forms_to]),
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


#: Of answers that are no pages.
API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def headers(policy: str) -> dict[str, Any]:
    """Return the headers that protect an answer of the hub."""
    return {
        "Content-Security-Policy": policy,
        # Parts the page from a window that opened it: a student's page never has this value (nginx sees to that).
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
