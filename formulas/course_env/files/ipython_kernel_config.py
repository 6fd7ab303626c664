"""Configuration of IPython's kernel for every student of the course. Made by Salt."""

import sys

sys.path.append("{{ lib }}")

from class_kernel.own_modules import find_own_modules_last
from class_kernel.pipe import keep_off_the_network

c = get_config()  # type: ignore[name-defined]  # noqa: F821
keep_off_the_network()
find_own_modules_last()
c.InteractiveShellApp.extensions.extend(["class_kernel.own", "class_kernel.own_modules"])
