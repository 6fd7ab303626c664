"""Browser walls of the hub: protection against scripts in a person's browser. See docs/decisions/browser-walls.md.

``fetch_metadata`` decides which requests the hub answers, ``policy`` what its pages may load, ``passes`` whose server a
browser may open, and ``cookies`` which of several cookies with one name counts. ``hub`` adds them to JupyterHub.
"""
