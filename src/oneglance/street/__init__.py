"""A street that does not exist: drawn scenes with true labels, to try everything on."""
