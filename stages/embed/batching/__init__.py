"""Batches of windows: which windows share a batch, how large a batch is, and what is measured on a sample of a corpus.

Here are the split into batches with little padding, the token budget and its tuning, the comparison of backends, and
the similarity of quantized vectors with exact ones. Nothing here reads or writes a feature store.
"""
