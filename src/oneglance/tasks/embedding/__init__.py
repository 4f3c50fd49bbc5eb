"""Embedding: who (or which individual) is it? A vector an image, near to those of the same person."""

from oneglance.tasks.embedding.task import Embedding, EmbeddingSettings

__all__ = ["Embedding", "EmbeddingSettings"]
