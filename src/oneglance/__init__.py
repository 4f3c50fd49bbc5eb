"""oneglance."""
