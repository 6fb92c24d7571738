"""`dsv4 pull` and `dsv4 weights`."""
