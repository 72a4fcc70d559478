"""The split of a corpus: drawn or as the source has it, what a user should know of it, and samples of all splits.

`splits` in the folder above has the names of the splits and draws folds of rows; here they become those of a corpus.
"""
