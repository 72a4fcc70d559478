"""What every head shares: the base class, hyperparameters, input checks, class weights and saving.

`head.py` is the base class, `hyperparameters.py` reads hyperparameters from dataclass fields, `inputs.py` checks labels
and weights, `saving.py` writes and reads the files of a fitted head, `pooled_head.py` is the base class of heads over
one vector per document. Nothing here imports torch or knows a particular head.
"""
