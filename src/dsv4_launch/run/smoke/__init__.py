"""Asking a running server as its clients do."""
