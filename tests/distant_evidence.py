"""A planted problem for long inputs: two words thousands of tokens apart, whose combination decides the label.

The label is whether the two words are of the same pair, so each of them alone says nothing. In windows, each word is in
a window of its own, and the mean of a document's windows is the sum of what each word adds. No linear head can tell the
labels from such a sum. An encoder that reads both words at once can give each of the four combinations a vector of its
own, and the one below does: its attention is planted, and looks for these words; all else in it is random.
"""

from pathlib import Path

import numpy as np

from tests.tiny_encoder import SENTENCES, make_encoder

FIRST, SECOND = ("oil", "wheat"), ("team", "card")
_SHARPNESS = 5.0  # of the attention, in the units of a normalized vector


def make_marker_encoder(folder: Path, hidden: int = 32) -> Path:
    """Write an encoder of one layer and 512 positions whose positions all attend to the words of FIRST and SECOND.

    One direction of the embedding space is reserved: only these words have it, all in the same amount, and keys are
    what a vector has of it.
    """
    import json

    import torch
    from safetensors.torch import load_file, save_file

    make_encoder(folder, hidden=hidden, layers=1, positions=512)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    tensors = load_file(folder / "model.safetensors")
    direction = torch.randn(hidden, generator=torch.Generator().manual_seed(1))
    direction = torch.nn.functional.normalize(direction - direction.mean(), dim=0)
    for name, scale in (("word", 1.0), ("position", 0.02), ("token_type", 0.02)):
        rows = tensors[f"embeddings.{name}_embeddings.weight"]
        rows *= scale
        rows -= rows.mean(1, keepdim=True)
        rows -= (rows @ direction)[:, None] * direction
    words = tensors["embeddings.word_embeddings.weight"]
    markers = [vocabulary[word] for word in FIRST + SECOND]
    words[markers] = (torch.nn.functional.normalize(words[markers], dim=1) + direction) * words.norm(dim=1).mean()
    attention, head = "encoder.layer.0.attention.self", hidden // 2
    for projection in ("query", "key"):
        tensors[f"{attention}.{projection}.weight"].zero_()
        tensors[f"{attention}.{projection}.bias"].zero_()
    tensors[f"{attention}.query.bias"][::head] = _SHARPNESS * head**0.5
    tensors[f"{attention}.key.weight"][::head] = direction
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def distant_documents(
    count: int, *, words: int = 3100, apart: int = 3000, seed: int = 0
) -> tuple[list[str], list[str]]:
    """Make documents with a word of FIRST and, `apart` words later, one of SECOND; returns texts and labels.

    Args:
        count: How many; each combination is equally frequent if it is a multiple of 4.
        words: Words of a document, each of one token.
        apart: Words from the first to the second marker.
        seed: Of the other words, and of the first marker's place.
    """
    generator = np.random.default_rng(seed)
    others = [word for text in SENTENCES[:4] for word in text.lower().replace(".", "").replace(",", "").split()]
    others = [word for word in others if word not in FIRST + SECOND]
    texts, labels = [], []
    for number in range(count):
        first, second = number % 2, number // 2 % 2
        text = generator.choice(others, words)
        start = int(generator.integers(words - apart))
        text[start], text[start + apart] = FIRST[first], SECOND[second]
        texts.append(" ".join(text))
        labels.append("same" if first == second else "different")
    return texts, labels
