"""``python -m runner``: the entry point that ``./coursehub`` starts."""

import signal

# Until the modules are loaded, Ctrl-C ends the program in the usual way: no message, no traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from runner.cli.main import main  # noqa: E402

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
