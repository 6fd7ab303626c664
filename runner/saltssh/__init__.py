"""Salt on a course's server by salt-ssh: started, watched, and its answer read."""

from runner.saltssh.running import argv, highstate
from runner.saltssh.tail import Watcher

__all__ = ["Watcher", "argv", "highstate"]
