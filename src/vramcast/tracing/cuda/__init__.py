"""What a CUDA tensor would do: one file per subject, each with its source."""
