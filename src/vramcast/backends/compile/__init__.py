"""torch.compile: AOTAutograd decides what is saved for backward, Inductor what is fused, allocated and reused; both are asked, not imitated."""
