"""Tests mirror `src/widthwise`. A package, so that what several of them need is imported as `tests.<folder>.<file>`."""
