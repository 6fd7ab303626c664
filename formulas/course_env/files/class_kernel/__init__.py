"""The differences between the course's Python kernels and a plain one, one module for each."""
