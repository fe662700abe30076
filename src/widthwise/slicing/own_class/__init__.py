"""The small network as an instance of the class that it came from."""
