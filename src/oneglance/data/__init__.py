"""From files to batches: geometry, colour, augmentation, mixing."""
