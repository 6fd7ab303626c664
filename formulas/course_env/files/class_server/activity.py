"""What counts as use of a student's server: actions of a person, not requests that an open page sends itself."""

from typing import Any

from jupyter_server.base.handlers import APIHandler

#: Methods that only read; Lab sends such requests every few seconds.
LOOKS = ("GET", "HEAD", "OPTIONS")
#: Lab saves the layout of its page here every ten seconds, even if nobody touched it.
PAGES_OWN = "/lab/api/"


def count_what_a_person_does() -> None:
    """Exclude requests that pages of Lab send themselves from the server's last activity.

    Messages of kernels and terminals count, and so does a computing kernel (ClassKernelManager).
    """
    APIHandler.update_api_activity = _noticed


def _noticed(handler: Any) -> None:
    if handler.request.method not in LOOKS and PAGES_OWN not in handler.request.path:
        _count(handler)


_count = APIHandler.update_api_activity
