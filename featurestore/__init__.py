"""What is kept of documents and how it is read: recipes, stores of content-named shards, ragged views on them.

Knows data below it and nothing above: neither encoders nor heads. Heads read Bags, stage one commits ShardContent.
"""

from featurestore.bags import Bags, as_bags
from featurestore.beside import Features, Stores, beside, fingerprint, store_of
from featurestore.content import ShardContent, joined
from featurestore.corpora import CorpusTable
from featurestore.image import image
from featurestore.keys import KeyList, text_key
from featurestore.memory import free_memory, share_memory
from featurestore.passages import Cut, Passages
from featurestore.ragged import Ragged
from featurestore.recipe import Recipe
from featurestore.repair import Repair, repair
from featurestore.rewriting import Plan, carry_out, compaction, pruning
from featurestore.shard import Shard
from featurestore.store import FeatureStore, newest, stores

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
