"""``coursehub audit``: what scanners that we did not write say of a hub, beside the goal."""
