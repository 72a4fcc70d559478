"""Another decision on the scores of a run: a run of its own that refers to it.

`plan.py` is what is decided and how, `inputs.py` the documents that a decision is chosen on, `decide.py` the order of
the steps, and `scored_decisions.py` counts the decisions that were scored on the test split. No head is fitted here,
and the test split is read by the final scoring alone.
"""
