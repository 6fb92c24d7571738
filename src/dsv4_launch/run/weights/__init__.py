"""The checkpoint: pulled, verified, repaired, removed."""
