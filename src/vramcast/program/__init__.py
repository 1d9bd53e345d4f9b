"""The program: one model under one workload, as code that runs on meta tensors for a forecast and on a card for a measurement."""
