"""dsv4: from a typed config to a serving DeepSeek-V4-Flash endpoint."""
