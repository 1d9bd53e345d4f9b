"""vramcast beside other ways to learn what a training step needs, in one run: `python -m benchmarks`."""
