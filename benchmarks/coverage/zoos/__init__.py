"""Where the networks come from, one package per file."""
