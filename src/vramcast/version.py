"""The version, read by packaging and by the face."""

__version__ = "0.1.0"
