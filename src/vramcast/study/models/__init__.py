"""`vramcast.study`: many models at once, their parameters against the memory they take."""
