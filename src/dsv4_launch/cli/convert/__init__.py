"""`dsv4 lint` and `dsv4 import`."""
