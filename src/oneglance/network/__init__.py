"""The trunk that all tasks look through, and the whole network."""
