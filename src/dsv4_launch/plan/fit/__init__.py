"""The memory planner: what fits into a GPU, and why."""
