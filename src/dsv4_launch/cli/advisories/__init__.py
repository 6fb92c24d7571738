"""`dsv4 advisories`, `dsv4 explain` and `dsv4 diagnose`."""
