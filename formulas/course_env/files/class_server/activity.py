"""What counts as use of a student's server: what a person does, and for a limited time what goes on without them.

Requests and messages that an open page of Lab sends by itself never count. A computing program, an automatic save or a
busy websocket counts, but only for some time after a person last did something: a forgotten loop must end one day.
JupyterHub asks ``last_activity`` about once a minute; the hub's culler stops a server that reports no use.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerWebApplication
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from class_server.working import Programs

#: Methods that only read; Lab sends such requests every few seconds.
LOOKS = ("GET", "HEAD", "OPTIONS")
#: Lab saves the layout of its page here every ten seconds, even if nobody touched it.
PAGES_OWN = "/lab/api/"
#: Lab saves a changed file here every two minutes; the output of a running cell changes one too.
SAVES = "/api/contents"
#: Websockets of Lab: for events, of kernels, and of terminals.
EVENTS, KERNELS, TERMINALS = "/api/events/", "/api/kernels/", "/terminals/websocket/"
#: In the header of a message that a person causes. Pages send others by themselves, for example an animation's.
ASKED = (b'"execute_request"', b'"input_reply"', b'"complete_request"', b'"inspect_request"')
#: In the header of a message with which a page asks a kernel about itself after it connected.
ASKS_ITSELF = (b"_info_request", b'"history_request"', b"_subshell_request")
#: The header is within so many bytes of a message.
HEADER = 700
#: How a message begins that has what a person typed in a terminal. Others have the size of the page.
TYPED = b'["stdin"'


class Use:
    """When a person last did something here, and when something last went on without them.

    ``alone`` is for how many seconds the latter counts after the former; 0 is for ever.
    """

    def __init__(self, alone: float, programs: Programs) -> None:
        self._alone = timedelta(seconds=alone)
        self._programs = programs
        self._person = self._traffic = datetime.now(UTC)

    def by_a_person(self) -> None:
        """Note that a person did something."""
        self._person = datetime.now(UTC)

    def traffic(self) -> None:
        """Note a message on a websocket of an extension."""
        self._traffic = datetime.now(UTC)

    def last(self, *others: datetime) -> datetime:
        """Return the time of the last use. ``others`` are Jupyter's own times: of requests, kernels, terminals."""
        if self._programs.working():
            # Kept: both Lab and the hub ask, and the next one who asks may see another stretch of time.
            self._traffic = datetime.now(UTC)
        went_on = max(self._traffic, *others)
        return max(self._person, min(went_on, self._person + self._alone) if self._alone else went_on)


def count_use(alone: float) -> None:
    """Make this server report its use as ``Use`` does."""
    use = Use(alone, Programs())
    stock, count = ServerWebApplication.last_activity, APIHandler.update_api_activity
    called, sent = WebSocketProtocol13._run_callback, WebSocketHandler.write_message

    def last_activity(application: Any) -> datetime:
        manager = application.settings.get("terminal_manager")
        # Jupyter itself counts what a terminal prints only while a page shows it.
        known = manager.terminals.values() if manager else ()
        # One that an extension made has no time until it prints.
        terminals = [one.last_activity for one in known if hasattr(one, "last_activity")]
        return use.last(stock(application), *terminals)

    def update_api_activity(handler: Any) -> None:
        method, path = handler.request.method, handler.request.path
        if method in LOOKS or PAGES_OWN in path:
            return
        before = handler.settings.get("api_last_activity")
        count(handler)
        saves = SAVES in path and (method == "PUT" or path.endswith("/checkpoints"))
        if not saves and handler.settings.get("api_last_activity") != before:
            use.by_a_person()

    def run_callback(protocol: Any, callback: Any, *arguments: Any) -> Any:
        handler = protocol.handler
        if isinstance(handler, WebSocketHandler) and callback == handler.on_message:
            _received(use, handler.request.path, arguments[0])
        return called(protocol, callback, *arguments)

    def write_message(handler: Any, *arguments: Any, **named: Any) -> Any:
        if not any(part in handler.request.path for part in (EVENTS, KERNELS, TERMINALS)):
            use.traffic()
        return sent(handler, *arguments, **named)

    ServerWebApplication.last_activity = last_activity
    APIHandler.update_api_activity = update_api_activity
    WebSocketProtocol13._run_callback = run_callback  # type: ignore[method-assign,assignment]
    WebSocketHandler.write_message = write_message  # type: ignore[method-assign,assignment]


def _received(use: Use, path: str, message: str | bytes) -> None:
    """Note a message that came from a page."""
    begins = message[:HEADER].encode() if isinstance(message, str) else message[:HEADER]
    if TERMINALS in path:
        if begins.startswith(TYPED):
            use.by_a_person()
    elif KERNELS in path:
        if any(kind in begins for kind in ASKED):
            use.by_a_person()
        elif not any(kind in begins for kind in ASKS_ITSELF):
            use.traffic()
    elif EVENTS not in path:
        use.traffic()


def count_what_a_person_does() -> None:
    """Do what a configuration of 29 or 30 November 2026 asks. To be removed with version 0.2.

    A server's configuration is written just after this module, so until the end of its next ``apply`` it may be older
    than the module. It is never newer: a rollback brings both back while the hub is stopped.
    """
    count_use(12 * 3600)
