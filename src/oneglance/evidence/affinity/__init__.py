"""Which tasks should share a network? What a step for one does to the losses of the others, and who goes with whom."""
