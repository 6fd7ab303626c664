"""``python -m runner`` is ``./coursehub``."""

from runner.cli import main

main()
