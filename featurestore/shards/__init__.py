"""Shards: immutable HDF5 files of documents' vectors, each named by the hash of its bytes.

Here are their layout, writing, checked reading through memory maps, and conversion to Arrow. A shard does not know the
store that it belongs to; folders, recipes on disk and corpora are in `featurestore.store`.
"""
