"""Before the freeze: training an encoder further on a corpus, and measuring how well it knows the language of one.

`masked_language_model.py` opens an encoder that predicts masked tokens, with its own head or with a tied one.
`documents.py` decides what is learned from (never the test split), `windows.py` makes training texts of it,
the `*_objective*.py` are the losses, `training.py` runs the Trainer of transformers, `memory.py` says what happens if
memory runs out, `adapt.py` orders the steps.
`masked_copies.py` predicts tokens that are masked one at a time, and `perplexity.py` measures a corpus with them.
"""
