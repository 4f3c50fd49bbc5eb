"""Did sharing help? Trainings side by side, and what may be said of their difference."""
