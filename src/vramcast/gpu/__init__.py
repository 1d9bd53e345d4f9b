"""Cards as data: what each one has, what a process can use of it, and what the CUDA context takes first. No torch."""
