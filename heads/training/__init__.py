"""The training of networks: the base classes of such heads, their hyperparameters, and one training loop for all.

`network_head.py` and `sequence_head.py` are the base classes, `config.py` the hyperparameters, `loop.py` the loop.
`document_batches.py` defines the `Batch` that a network reads. Losses, samplers, optimizers, initialization and dropout
have a file each. Nothing here is a head: `heads/classifiers` builds the networks.
"""
