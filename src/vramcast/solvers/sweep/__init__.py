"""`vramcast.sweep`: forecasts at every point of a grid, on all cores or on a cluster, resumed where it was interrupted."""
