"""Shared by all tests: one thread (determinism, and no fight over cores), and small helpers."""

import torch

torch.set_num_threads(1)
