"""Commands that answer from a config alone, and those that rewrite its file."""
