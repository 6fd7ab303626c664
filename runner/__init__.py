"""coursehub's runner: everything that touches a cloud or a network."""
