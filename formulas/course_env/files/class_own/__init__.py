"""Packages of a student's own: installed by pip into the student's home, beside what the course has and after it.

Kernels and programs in terminals find them, Jupyter's own process never does. What the course has comes first, so
nothing that a student installs takes its place (docs/decisions/own-packages.md).
"""
