"""``coursehub audit``: results of third-party scanners on a hub, compared with the goals."""
