"""Stage one: documents -> windows of tokens -> batches -> a frozen encoder -> shards of a feature store.

What lives here knows text, tokenizers and encoders. What may not: heads, runs, the command line, and anything that
prints. Torch and transformers are imported by the functions that need them, so that a finished store answers at once.
"""

from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.encoder.options import Options
from stages.embed.model_files.model_lookup import find_model
from stages.embed.pipeline.encode_corpus import embed, encode
from stages.embed.pipeline.progress import EmbedProgress, EmbedReport

__all__ = ["EmbedProgress", "EmbedReport", "Encoder", "Options", "embed", "encode", "find_model", "open_encoder"]
