"""The heads, one file each, named as on the command line; `heads/registry.py` lists them.

A file declares the head's hyperparameters and what it learns. Code that two heads share belongs to a base class in
`heads/core` or `heads/training`, or to `heads/linear_models`.
"""
