"""Data sets in memory: the digits of scikit-learn, MNIST and Fashion-MNIST."""

from widthwise.zoo.data.catalogue import list_data, load_data
from widthwise.zoo.data.splits import DataSplits

__all__ = ["DataSplits", "list_data", "load_data"]
