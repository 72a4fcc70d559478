"""Stage one and two at once: an encoder and a classification layer trained end to end, as a baseline for frozen heads.

A fine-tuned classifier is an encoder and a linear layer over its window vectors, with logits pooled over windows. So it
is kept as its two factors: an encoder like any other, with a store of its vectors, and a run whose head is the layer.

`settings.py` is how to train, `task.py` the documents, `classifier.py` the network, `batches.py` what it reads,
`trainer.py` transformers' Trainer with our batches and losses, `training.py` one training, `finetune.py` the order of
the steps, `estimate.py` the dry run, `processes.py` data-parallel training.
"""
