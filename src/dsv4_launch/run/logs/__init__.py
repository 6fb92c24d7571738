"""Lines of a server's log."""
