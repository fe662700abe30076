"""A traced network that runs at kept sets, on views of its own parameters."""
