"""Services that run in containers."""
