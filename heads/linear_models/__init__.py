"""Linear models and the features they are fitted on: the numerical core of the heads that train no network.

Logistic and ridge regression on standardized vectors, linear support-vector machines on sparse rows, tf-idf of n-grams
of token ids, the calibration of margins by temperature scaling, and the attribution of a linear score to tokens.
Nothing here is a head: `heads/classifiers` wraps these functions.
"""
