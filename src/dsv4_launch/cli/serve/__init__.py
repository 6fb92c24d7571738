"""Launch: `dsv4 serve`, `dsv4 rehearse`, and what stands around a server."""
