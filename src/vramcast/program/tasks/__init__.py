"""How each kind of model is fed and judged: one file per task."""
