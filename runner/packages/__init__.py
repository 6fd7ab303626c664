"""Python packages: a course's lock, and the oldest safe versions."""
