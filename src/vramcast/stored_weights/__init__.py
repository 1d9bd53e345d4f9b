"""What files of weights hold: names, shapes and types of tensors, read from their headers alone."""

from vramcast.stored_weights.files import is_weights_file, read_weights
from vramcast.stored_weights.interface import StoredTensor, StoredWeights

__all__ = ["StoredTensor", "StoredWeights", "is_weights_file", "read_weights"]
