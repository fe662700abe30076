"""What is drawn from the seed of a recipe."""

__all__ = ["Stream"]


class Stream:
    """The second integer of each generator, the first being the seed; the epoch and the step may follow."""

    WEIGHTS, ORDER, DROPOUT, WIDTHS, CALIBRATION, COMPARISON = range(6)
