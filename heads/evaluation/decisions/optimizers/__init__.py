"""Exact searches over thresholds and offsets, on arrays alone: which predictions flip, and how metrics change by it.

`search` finds the best threshold of a sequence of flips. `flips` has metrics of one label per document, for which
`ascent` and `envelope` search; `pairs` those of multi-label predictions. Nothing here knows a decision rule.
"""
