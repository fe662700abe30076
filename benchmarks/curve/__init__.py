"""Choosing and taking home: what is measured of curves, picks, files and switching."""
