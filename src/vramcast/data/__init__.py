"""What a data set says about the worst batch: labels counted, sizes read from headers, nothing decoded and nothing executed."""

from vramcast.data.interface import DataSet
from vramcast.data.registry import read_data

__all__ = ["DataSet", "read_data"]
