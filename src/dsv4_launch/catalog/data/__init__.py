"""Data files of the catalog; read through `dsv4_launch.catalog.read`."""
