"""Before the freeze: training an encoder further on a corpus, and measuring how well it knows the language of one.

`masked_language_model.py` opens an encoder that predicts masked tokens, with its own head or with a tied one.
`masked_copies.py` predicts tokens that are masked one at a time, and `perplexity.py` measures a corpus with them.
"""
