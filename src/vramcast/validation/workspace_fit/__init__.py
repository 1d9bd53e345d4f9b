"""Fits the parameters of cuDNN's convolution workspaces (`workspace/cudnn.toml`) on one half of the models that were measured."""
