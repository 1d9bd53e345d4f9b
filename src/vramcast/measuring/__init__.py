"""Runs the same program on a real card, and writes down what it took."""
