"""Ragged vectors in memory: rows of unequal length, Bags of documents, batches, and the recipe of features.

This folder knows arrays, and files only through the StoredArray protocol. It knows neither shards nor stores. torch is
imported in `torch_dataset` only.
"""
