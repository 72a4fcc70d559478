"""Taxonomies as a person meets them: counted and outlined, and proposed for flat labels.

`outline` is the order in which a tree is drawn, in the terminal and on the report page; `counts` has the documents of
each node; `suggest` proposes a taxonomy from the confusions of a run.
"""
