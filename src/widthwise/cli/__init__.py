"""The command line, one verb per file."""

from widthwise.cli.app import app, main

__all__ = ["app", "main"]
