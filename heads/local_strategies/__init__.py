"""What the local classifiers of a hierarchy decide, and how their answers become probabilities of labels.

`label_graph.py` is the tree or graph with a leaf per label, `problems.py` the strategies: which documents each local
classifier is fitted on, and with which classes. The classifiers are the logistic regressions of `local_logistic.py`, or
the heads of `local_heads.py`.
"""
