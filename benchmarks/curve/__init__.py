"""What the curve, the choice and the files promise, measured."""
