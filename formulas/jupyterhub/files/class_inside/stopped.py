"""Why somebody's server does not run, for the page that says so.

Kept in memory: after a restart of the hub the page says that it does not run, and no more.
"""

from collections.abc import Callable
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserServerAPIHandler

#: The service that stops what nobody uses (jupyterhub_config.py).
CULLER = "idle-culler"


class Stops:
    """Who stopped whose server last, from the requests that the hub answered."""

    def __init__(self, idle_seconds: int) -> None:
        self._idle = f"It was stopped because nobody had used it for {idle_seconds // 60} minutes."
        self._why: dict[str, str] = {}

    def listening(self, log: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return what JupyterHub calls with each request that it has answered: ``log``, and then a look of ours."""

        def answered(handler: Any) -> None:
            log(handler)
            if isinstance(handler, UserServerAPIHandler) and handler.get_status() < 400:
                self.look(handler.request.method, handler.path_args[0], handler.current_user)

        return answered

    def look(self, method: str, whose: str, who: Any) -> None:
        """Note a stop, forget it at the next start; ``who`` is a user or a service of JupyterHub's."""
        self._why.pop(whose, None)
        if method != "DELETE":
            return
        if isinstance(who, orm.Service):
            if who.name == CULLER:
                self._why[whose] = self._idle
        elif who is not None and who.name != whose:
            self._why[whose] = "Your teacher stopped it."

    def for_pages(self) -> Callable[[Any], Callable[[str], str]]:
        """Return what pages ask: why somebody's server does not run, or nothing (``JupyterHub.template_vars``).

        A function and no method: a configuration copies its values, and a copied method has an object of its own.
        """
        return lambda _user: lambda whose: self._why.get(whose, "")
