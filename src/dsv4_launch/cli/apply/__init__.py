"""Changes: `dsv4 diff`, `apply`, `rollback` and `history`."""
