"""Runs Salt on a course's server over salt-ssh: starts it, follows its progress, and reads its results."""

from runner.saltssh.running import argv, highstate
from runner.saltssh.tail import Watcher

__all__ = ["Watcher", "argv", "highstate"]
