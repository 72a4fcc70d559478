"""Hidden states from transformers alone, one window at a time: the reference for every batch of ours."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed import Encoder
from tests.tiny_encoder import SENTENCES

TEXTS = ["", "oil", " \n", *SENTENCES, " ".join(SENTENCES), "a\ud800b", "nul \0 byte", "😀 " * 9]
EVERYTHING: dict[str, Any] = {"keep": ("cls", "mean", "max", "segments", "tokens"), "segment": 5}


def reference_states(folder: Path, texts: Sequence[str], encoder: Encoder) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield the hidden states (positions, dim) of each window's last layer, and the number of its own tokens."""
    import torch
    from transformers import AutoTokenizer

    network = reference_network(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    windowing = encoder.windowing
    for text in texts:
        text = text.replace("\ud800", "\ufffd")
        ids = tokenizer(text, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
        starts = range(0, max(len(ids) - windowing.stride, 1), windowing.step)
        for start in starts:
            window = ids[start : start + windowing.window]
            positions = torch.tensor([[*encoder.opening, *window, *encoder.closing]])
            if not positions.shape[1]:
                yield np.zeros((1, encoder.dim), np.float32), 0
                continue
            with torch.inference_mode():
                states = network(positions.long(), **forward_arguments(network, positions)).last_hidden_state
            yield states[0].numpy(), len(window)


def reference_network(folder: Path) -> Any:
    """The encoder, opened as the documentation of transformers shows."""
    from transformers import AutoModel, MT5EncoderModel, T5EncoderModel, UMT5EncoderModel

    network = AutoModel.from_pretrained(folder).eval()
    encoders = {"t5": T5EncoderModel, "mt5": MT5EncoderModel, "umt5": UMT5EncoderModel}
    if network.config.model_type in encoders:
        return encoders[network.config.model_type].from_pretrained(folder).eval()
    return network.get_encoder() if network.config.is_encoder_decoder else network


def forward_arguments(network: Any, ids: Any) -> dict[str, Any]:
    """Further arguments of a family's forward pass: Longformer's global attention on the first token."""
    import torch

    family = network.config.model_type
    if family == "big_bird":  # a short window turns sparse attention off for all later ones
        network.set_attention_type("block_sparse")
    return {"global_attention_mask": torch.eye(1, ids.shape[1]).long()} if family == "longformer" else {}
