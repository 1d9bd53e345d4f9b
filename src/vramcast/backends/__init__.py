"""How a program is run: each backend turns a model and a workload into a `Trace`."""
