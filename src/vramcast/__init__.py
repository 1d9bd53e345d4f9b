"""vramcast forecasts GPU memory without a GPU."""
