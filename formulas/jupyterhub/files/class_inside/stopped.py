"""The reason why a person's server was stopped, for the page that says that it does not run.

Kept in memory: after a restart of the hub the page gives no reason.
"""

from collections.abc import Callable
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserServerAPIHandler

from class_inside.idle_times import IdleTimes

#: The service that stops idle servers (jupyterhub_config.py).
CULLER = "idle-culler"


class Stops:
    """Remembers who stopped whose server last, from the requests that the hub answered.

    ``times`` are those after which the culler stops a server.
    """

    def __init__(self, times: IdleTimes) -> None:
        self._times = times
        self._why: dict[str, str] = {}

    def listening(self, log: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a function that JupyterHub calls after each answered request: it calls ``log``, then ``look``."""

        def answered(handler: Any) -> None:
            log(handler)
            if isinstance(handler, UserServerAPIHandler) and handler.get_status() < 400:
                self.look(handler.request.method, handler.path_args[0], handler.current_user)

        return answered

    def look(self, method: str, whose: str, who: Any) -> None:
        """Note a stop, and forget it at the next start; ``who`` is a user or a service of JupyterHub."""
        self._why.pop(whose, None)
        if method != "DELETE":
            return
        if isinstance(who, orm.Service):
            if who.name == CULLER:
                minutes = self._times.of(whose) // 60
                self._why[whose] = f"It was stopped because nobody had used it for {minutes} minutes."
        elif who is not None and who.name != whose:
            self._why[whose] = "Your teacher stopped it."

    def made_room(self) -> Callable[[str], None]:
        """Return a function that notes a server that was stopped because others waited for memory."""

        def note(whose: str) -> None:
            self._why[whose] = "It was stopped because nobody used it, and others needed the memory."

        return note

    def started(self) -> Callable[[str], None]:
        """Return a function that forgets the reason when a server starts, whatever started it."""

        def forget(whose: str) -> None:
            self._why.pop(whose, None)

        return forget

    def for_pages(self) -> Callable[[Any], Callable[[str], str]]:
        """Return a function for pages: account to reason, empty if unknown (``JupyterHub.template_vars``).

        A function and not a method: a configuration copies its values, and a copied method has a copy of the object.
        """
        return lambda _user: lambda whose: self._why.get(whose, "")
