"""`dsv4 fit` and `dsv4 recommend`."""
