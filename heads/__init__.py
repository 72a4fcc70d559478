"""Heads: classifiers over stored features, as scikit-learn estimators.

`registry` finds a head by its name, `classifiers/` has one file per head, `core/` the base class of all, `training/`
that of networks, `linear_models/` the numerical core of linear heads, `evaluation/` metrics and decision rules.
`testing` is the contract that every head keeps, for other packages too.

Nothing here knows texts, encoders, commands or runs. Import the module that you need: scikit-learn, torch and LightGBM
are imported with the heads that use them, so this file stays empty.
"""
