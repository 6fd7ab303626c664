"""Checks of a hub over HTTPS from outside, as its users see it."""
