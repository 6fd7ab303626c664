"""A student's own packages: pip installs them into the student's home, in addition to the course's packages.

Kernels and programs in terminals find them; Jupyter's own process never does. The course's packages come first, so
nothing that a student installs can replace them (docs/decisions/own-packages.md).
"""
