"""What counts as use of a student's server: what a person does, not what an open page asks for by itself."""

from typing import Any

from jupyter_server.base.handlers import APIHandler

#: Methods by which a page only looks; Lab does so every few seconds.
LOOKS = ("GET", "HEAD", "OPTIONS")
#: Where Lab keeps how its page looks: it writes that down every ten seconds, touched or not.
PAGES_OWN = "/lab/api/"


def count_what_a_person_does() -> None:
    """Have the server's last activity leave out what pages of Lab ask for by themselves.

    Kernels and terminals count by their own messages, and a kernel that computes counts (ClassKernelManager).
    """
    APIHandler.update_api_activity = _noticed


def _noticed(handler: Any) -> None:
    if handler.request.method not in LOOKS and PAGES_OWN not in handler.request.path:
        _count(handler)


_count = APIHandler.update_api_activity
