"""Where models come from: one file per origin. No source imports its package, or torch, when it is imported."""
