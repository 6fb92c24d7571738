"""vLLM's command line, read as vLLM reads it."""
