"""Servers and kernels start as copies of a process that has imported their modules already.

``make`` writes the memory of such a process into a file, the image. ``begin`` starts a program from it, in its owner's
unit and without any right. docs/decisions/warm-images.md says why.
"""
