"""Files of one width and of all."""
