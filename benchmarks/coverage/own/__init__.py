"""Networks as users write them, one kind per file."""
