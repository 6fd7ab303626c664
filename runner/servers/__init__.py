"""A course's server, as this computer keeps it: its keys, its order, and who is at work on it."""
