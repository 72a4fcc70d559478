"""Augmented copies of training documents: a corpus of its own in the same store, which `fit_head` fits on.

`words.py`, `keywords.py` and `masked_words.py` are the methods: each turns a document into another text, or into none.
`amounts.py` says how many copies each document gets, `augment.py` makes them as a `plan.py` says, and
`copied_corpus.py` writes and encodes them.
"""
