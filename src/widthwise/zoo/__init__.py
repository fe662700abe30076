"""Plain models and data sets; they have never heard of dropout."""

from widthwise.zoo.data import DataSplits, list_data, load_data
from widthwise.zoo.models import MLP, ResidualConvNet, build_model, list_models

__all__ = ["MLP", "DataSplits", "ResidualConvNet", "build_model", "list_data", "list_models", "load_data"]
