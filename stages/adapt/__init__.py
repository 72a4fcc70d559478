"""Before the freeze: training an encoder further on a corpus, and measuring how well it knows the language of one.

`masked_language_model.py` opens an encoder that predicts masked tokens, with its own head or with a tied one.
`perplexity.py` measures the pseudo-perplexity of a corpus.
"""
