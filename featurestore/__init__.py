"""What is kept of documents and how it is read: recipes, stores of content-named shards, ragged views on them.

Knows data below it and nothing above: neither encoders nor heads. Heads read Bags, stage one commits ShardContent.
"""

from featurestore.bags import Bags, as_bags
from featurestore.corpora import CorpusTable
from featurestore.image import ShardContent, image
from featurestore.keys import text_key
from featurestore.ragged import Ragged
from featurestore.recipe import Recipe
from featurestore.shard import Shard
from featurestore.store import FeatureStore, newest

__all__ = [
    "Bags",
    "CorpusTable",
    "FeatureStore",
    "Ragged",
    "Recipe",
    "Shard",
    "ShardContent",
    "as_bags",
    "image",
    "newest",
    "text_key",
]
