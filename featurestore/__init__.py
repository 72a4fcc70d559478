"""The feature store: recipes, stores of content-named shards, and ragged views of documents on them.

This layer knows `data` below it, and neither encoders nor heads. Heads read Bags; `embed` commits ShardContent. The
names below are its public interface; its folders are `vectors`, `storage`, `shards`, `store` and `maintenance`.
"""

from featurestore.maintenance.compaction import CompactionPlan, plan_compaction, plan_pruning, run_compaction
from featurestore.maintenance.repair import RepairReport, repair_store
from featurestore.shards.keys import KeyList, text_key
from featurestore.shards.shard import Shard
from featurestore.shards.shard_bytes import shard_bytes
from featurestore.shards.shard_content import ShardContent, concatenate_content
from featurestore.storage.location import Location, StoreUrl, parse_location
from featurestore.store.corpora import CorpusTable
from featurestore.store.joined_stores import FeatureSource, JoinedStores, join_bags, joined_fingerprint, store_number
from featurestore.store.store import FeatureStore, is_store, list_stores, newest_store
from featurestore.vectors.bags import Bags, Computation, PerDocument, as_bags
from featurestore.vectors.contiguous_tokens import ChunkLayout, ContiguousTokens
from featurestore.vectors.encoder_training import TRAINING_FILE, EncoderTraining, TrainingStep
from featurestore.vectors.memory import free_memory, keep_freed_memory, return_freed_memory, share_memory
from featurestore.vectors.pooled_file import PooledFile, write_pooled
from featurestore.vectors.ragged import Ragged
from featurestore.vectors.recipe import Recipe

__all__ = [
    "TRAINING_FILE",
    "Bags",
    "ChunkLayout",
    "CompactionPlan",
    "Computation",
    "ContiguousTokens",
    "CorpusTable",
    "EncoderTraining",
    "FeatureSource",
    "FeatureStore",
    "JoinedStores",
    "KeyList",
    "Location",
    "PerDocument",
    "PooledFile",
    "Ragged",
    "Recipe",
    "RepairReport",
    "Shard",
    "ShardContent",
    "StoreUrl",
    "TrainingStep",
    "as_bags",
    "concatenate_content",
    "free_memory",
    "is_store",
    "join_bags",
    "joined_fingerprint",
    "keep_freed_memory",
    "list_stores",
    "newest_store",
    "parse_location",
    "plan_compaction",
    "plan_pruning",
    "repair_store",
    "return_freed_memory",
    "run_compaction",
    "shard_bytes",
    "share_memory",
    "store_number",
    "text_key",
    "write_pooled",
]
