"""A start, watched until the server answers."""
