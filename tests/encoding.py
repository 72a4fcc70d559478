"""The features of a few texts, without a store."""

from collections.abc import Sequence

from featurestore import ShardContent, text_key
from stages.embed import Encoder
from stages.embed.batching.budget import create_budget
from stages.embed.pipeline.encode_slice import encode_slice


def encode(texts: Sequence[str], encoder: Encoder) -> ShardContent:
    """Encode texts, one document each, in their order; all must have finite vectors."""
    windows = encoder.tokenizer.tokenize(texts, encoder.windowing)
    encoded = encode_slice([text_key(text) for text in texts], windows, encoder, create_budget(encoder))
    assert not len(encoded.failed)
    return encoded.content
