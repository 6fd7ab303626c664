"""Browser walls of the hub: what a script in somebody's browser cannot do there. See docs/decisions/browser-walls.md.

``fetch_metadata`` says which requests the hub answers at all, ``policy`` what its pages may load, ``passes`` whose
server a browser may open, ``cookies`` which of several cookies of one name counts; ``hub`` joins them to JupyterHub.
"""
