"""Model files: where a model is found, and what its files say about it.

Config, weights hash, families of networks, sentence-transformers folders, and consent to a model's own Python code. It
is all read without loading the network, and nothing here knows a text, a tokenizer or a store.
"""
