"""The feature store: its folder, recipe and corpora, checks of its content, and several stores joined as one.

Changes of existing shards (repair, compaction) and exports are in `featurestore.maintenance`.
"""
