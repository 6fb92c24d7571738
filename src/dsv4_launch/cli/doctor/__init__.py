"""`dsv4 doctor` and `dsv4 facts`."""
