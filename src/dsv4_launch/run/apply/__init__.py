"""A running deployment changed, and the way back."""
