"""Where the files of a store are: in a folder of a local disk, or in a bucket of an object store.

`storage.py` has the protocol that the rest of `featurestore` uses, and one file implements it per kind of storage.
"""
