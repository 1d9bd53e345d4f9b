"""Single kernels on a real card: the scratch each takes, and how the context grows."""
