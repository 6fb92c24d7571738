"""Charts, pages and tables of what was measured."""
