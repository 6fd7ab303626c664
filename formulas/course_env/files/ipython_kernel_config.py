"""IPython's kernel as every student of the course gets it. Made by Salt."""

import sys

sys.path.append("{{ lib }}")

from class_kernel.pipe import keep_off_the_network

keep_off_the_network()
