"""Services that run as processes of this host."""
