"""IPython's kernel as every student of the course gets it. Made by Salt."""

import sys

sys.path.append("{{ lib }}")

from class_kernel.pipe import keep_off_the_network

c = get_config()  # noqa: F821
keep_off_the_network()
c.InteractiveShellApp.extensions.append("class_kernel.own")
