"""Stage one: documents -> windows of tokens -> batches -> a frozen encoder -> shards of a feature store.

Imports go one way: pipeline -> batching -> encoder -> network, windows -> model_files. The folders know texts,
tokenizers and encoders, but no heads, no runs and no command line, and they print nothing. Functions import torch and
transformers themselves, so that a finished store is recognized without the time of these imports.
"""

from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.encoder.options import Options
from stages.embed.model_files.model_lookup import find_model
from stages.embed.pipeline.encode_corpus import embed
from stages.embed.pipeline.progress import EmbedProgress, EmbedReport

__all__ = ["EmbedProgress", "EmbedReport", "Encoder", "Options", "embed", "find_model", "open_encoder"]
