"""Measurements with their result files; not part of the package that is installed."""
