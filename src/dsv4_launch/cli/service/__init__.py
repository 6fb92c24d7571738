"""What runs: `dsv4 status`, `stop`, `show`, `logs`, `watch` and `smoke`."""
