"""Which settings are better? Trials on folds, the next chosen by the last ones; judged on images that none saw."""
