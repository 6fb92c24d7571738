"""A sweep: the client, what is watched beside it, and what is kept."""
