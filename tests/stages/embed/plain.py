"""Hidden states by transformers alone, one window at a time: what every batch of ours has to equal."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed import Encoder
from tests.tiny_encoder import SENTENCES

TEXTS = ["", "oil", " \n", *SENTENCES, " ".join(SENTENCES), "a\ud800b", "nul \0 byte", "😀 " * 9]
EVERYTHING: dict[str, Any] = {"keep": ("cls", "mean", "max", "segments", "tokens"), "segment": 5}


def plain(folder: Path, texts: Sequence[str], encoder: Encoder) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Every window through transformers alone: hidden states (positions, dim) of the last layer, and its own tokens."""
    import torch
    from transformers import AutoTokenizer

    network = plain_network(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    windowing = encoder.windowing
    for text in texts:
        text = text.replace("\ud800", "\ufffd")
        ids = tokenizer(text, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
        starts = range(0, max(len(ids) - windowing.stride, 1), windowing.step)
        for start in starts:
            own = ids[start : start + windowing.window]
            whole = torch.tensor([[*encoder.opening, *own, *encoder.closing]])
            if not whole.shape[1]:
                yield np.zeros((1, encoder.dim), np.float32), 0
                continue
            with torch.inference_mode():
                states = network(whole.long(), **settings_of(network, whole)).last_hidden_state
            yield states[0].numpy(), len(own)


def plain_network(folder: Path) -> Any:
    """The encoder, as a reader of the documentation of transformers would open it."""
    from transformers import AutoModel, MT5EncoderModel, T5EncoderModel, UMT5EncoderModel

    network = AutoModel.from_pretrained(folder).eval()
    encoders = {"t5": T5EncoderModel, "mt5": MT5EncoderModel, "umt5": UMT5EncoderModel}
    if network.config.model_type in encoders:
        return encoders[network.config.model_type].from_pretrained(folder).eval()
    return network.get_encoder() if network.config.is_encoder_decoder else network


def settings_of(network: Any, ids: Any) -> dict[str, Any]:
    """What a family's forward pass wants beside ids: Longformer's global attention on the first token."""
    import torch

    family = network.config.model_type
    if family == "big_bird":  # a short window turns sparse attention off for all that follow
        network.set_attention_type("block_sparse")
    return {"global_attention_mask": torch.eye(1, ids.shape[1]).long()} if family == "longformer" else {}
