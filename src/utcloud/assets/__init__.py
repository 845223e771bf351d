"""Algorithms, datasets, images, models: versions, uploads, sharing, and the object store."""
