"""``python -m runner``: the entry point that ``./coursehub`` starts."""

import signal

# While modules load, Ctrl-C ends the program as it ends any other; there is nothing to say yet and no traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from runner.cli.main import main  # noqa: E402

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
