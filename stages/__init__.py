"""The verbs: embed, fit_head, compare, predict. One command is one module or folder of the same name.

What lives here calls heads, featurestore and data and prints nothing; progress leaves by callbacks.
`runs.py` alone reads and writes a run folder. Import the module that you need (`from stages.fitting.fit_head import
fit_head`):
this file stays empty, so that the command line starts quickly.
"""
