"""Stage two: fit a head on stored features, choose its decision rule, score the test split once, and keep the run.

`plan.py` is what to fit, `task.py` the documents, `encoder_exposure.py` which of them an encoder saw,
`cross_fitting.py` the fits, `fit_head.py` the order of the steps, `runs.py` and `saving.py` the run folder, which no
other module reads or writes. Nothing here reads text or runs an encoder, and only `fit_head` scores the test split.
"""
