"""`dsv4 bench`."""
