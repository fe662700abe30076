"""Which widths training draws."""
