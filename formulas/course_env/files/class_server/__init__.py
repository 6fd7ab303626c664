"""The differences between a person's server and a plain Jupyter Server, one module for each."""
