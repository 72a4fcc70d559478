"""Heads: what learns labels from stored features. One head is one file of its name.

`base.py` is what every head is, `parameters.py` how one declares its parameters; `labelling.py`, `examples.py` and
`saving.py` are what it is given and how it is kept; `weights.py`, `pooled.py`, `logistic.py`, `neural.py` and
`training.py` are shared by several. `registry.py` finds a head by its name, `decisions/` turns scores into labels,
`metrics.py` says how good they are, `heldout.py` guards the test split.

Nothing here knows a text, an encoder, a command or a run. Import the module that you need: this file stays empty,
because scikit-learn, torch and LightGBM load with the heads that use them.
"""
