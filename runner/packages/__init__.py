"""Python packages: the lock of a course, and the oldest versions that are safe to run."""
