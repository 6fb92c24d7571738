"""A config moved to another release."""
