"""A curve to look at: a picture, and a page that needs nothing but a browser."""

from widthwise.report.page import write_report
from widthwise.report.plot import draw_curve

__all__ = ["draw_curve", "write_report"]
