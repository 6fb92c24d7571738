"""A launch as a config."""
