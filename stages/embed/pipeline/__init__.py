"""From a source to a filled store: the steps of `embed`, its progress, its report and its dry run.

`embed_source` is the whole command, `encode_corpus` encodes what a store lacks, `encode_slice` turns documents into the
arrays of a shard, `devices` runs several processes. What knows only windows, batches or models belongs to the
neighboring folders; nothing here prints.
"""
