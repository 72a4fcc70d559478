"""The actions of embedonce: embed, fit-head, compare, predict, report, curve, sweep, explain, relabel.

Modules here call heads, featurestore and data, and print nothing: progress is reported to callbacks. Import the module
that you need (`from stages.fitting.fit_head import fit_head`): this file imports nothing, so that the command line
starts quickly.
"""
