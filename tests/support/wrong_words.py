"""Lines about wrong values that several keys of the course file have."""

from __future__ import annotations

TEXT = "must be one line of text, 1 to 200 characters, in quotes; correct it"
LIST = "must be a list (a line with '- ' for each); correct it"
HOST = "must be a full host name such as engr114.example.edu (small letters, no https://, no path); correct it"
EMAIL = "must be an email address such as professor@example.edu; correct it"
