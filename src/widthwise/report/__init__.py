"""A curve to look at: a picture, and a page that needs nothing but a browser; and a map of width groups."""

from widthwise.report.map import draw_map
from widthwise.report.page import write_report
from widthwise.report.picture import check_ending
from widthwise.report.plot import draw_curve

__all__ = ["check_ending", "draw_curve", "draw_map", "write_report"]
