"""What is done to a network once it is small: statistics, head, numbers."""
