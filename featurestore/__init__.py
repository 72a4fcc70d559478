"""What is kept of documents and how it is read: recipes, stores of content-named shards, ragged views on them.

Knows data below it and nothing above: neither encoders nor heads. Heads read Bags, stage one commits ShardContent.
"""

from featurestore.maintenance.compaction import Plan, carry_out, compaction, pruning
from featurestore.maintenance.repair import Repair, repair
from featurestore.shards.keys import KeyList, text_key
from featurestore.shards.shard import Shard
from featurestore.shards.shard_bytes import image
from featurestore.shards.shard_content import ShardContent, joined
from featurestore.store.corpora import CorpusTable
from featurestore.store.joined_stores import Features, Stores, beside, fingerprint, store_of
from featurestore.store.store import FeatureStore, newest, stores
from featurestore.vectors.bags import Bags, as_bags
from featurestore.vectors.contiguous_tokens import Cut, Passages
from featurestore.vectors.memory import free_memory, share_memory
from featurestore.vectors.ragged import Ragged
from featurestore.vectors.recipe import Recipe

__all__ = [
    "Bags",
    "CorpusTable",
    "Cut",
    "FeatureStore",
    "Features",
    "KeyList",
    "Passages",
    "Plan",
    "Ragged",
    "Recipe",
    "Repair",
    "Shard",
    "ShardContent",
    "Stores",
    "as_bags",
    "beside",
    "carry_out",
    "compaction",
    "fingerprint",
    "free_memory",
    "image",
    "joined",
    "newest",
    "pruning",
    "repair",
    "share_memory",
    "store_of",
    "stores",
    "text_key",
]
