"""Work on an existing store: repair of damaged shards, compaction, removal of unused documents, and export.

Nothing in the other folders of `featurestore` depends on this one.
"""
