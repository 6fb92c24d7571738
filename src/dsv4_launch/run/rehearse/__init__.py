"""A rehearsal on the CPU."""
