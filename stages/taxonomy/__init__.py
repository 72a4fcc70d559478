"""Taxonomies as a person meets them: counted and drawn, proposed for flat labels, and as paths of predictions.

`outline` is the order in which a tree is drawn; `counts` has the documents of each node, `sources` says where they are
read from; `suggest` proposes a taxonomy from the confusions of a run; `paths` are predictions as nodes from the top
down, and `mistakes` says where they leave the true path. Nothing here prints or draws.
"""
