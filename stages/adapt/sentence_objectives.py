"""Losses of sentence-transformers on vectors of windows: TSDAE and SimCSE, which need no labels.

TSDAE (Wang et al. 2021, arXiv 2104.06979): 60 % of the words of a window are deleted, and a decoder, whose weights are
the encoder's, writes the whole window again from the vector of what is left. SimCSE without labels (Gao et al. 2021,
arXiv 2104.08821): a window is encoded twice, and with other dropout masks its two vectors shall be more similar to each
other than to those of the other windows in the batch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from stages.adapt.objective import Collate, Integers, Objective, pad_windows
from stages.adapt.training_defaults import POSITIONS
from stages.adapt.windows import TrainingWindows
from stages.embed.batching.token_batches import split_into_batches
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.network.torch_network import add_global_attention

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DELETED_SHARE = 0.6
SIMCSE_SCALE = 20.0  # 1 / temperature: cosines are multiplied by it


class SentenceLoss(nn.Module):
    """A loss of sentence-transformers, called as transformers.Trainer calls a network."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, features: list[dict[str, torch.Tensor]], labels: torch.Tensor | None = None) -> dict[str, Any]:
        """The loss of a batch. features: one batch of windows per input of the loss; labels: what the loss takes."""
        return {"loss": self.loss([dict(each) for each in features], labels)}


class EncoderInBands(nn.Module):
    """An encoder that reads windows of similar length together: contrastive losses compare windows of any length.

    Args:
        model: What `load_sentence_encoder` returns.
    """

    def __init__(self, model: "SentenceTransformer") -> None:
        super().__init__()
        self.model = model

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Encode a batch. features: what `pad_windows` returns. Returns "sentence_embedding", (windows, dim)."""
        lengths = features["attention_mask"].sum(dim=1).cpu().numpy()
        bands = list(split_into_batches(lengths, POSITIONS[features["input_ids"].device.type]))
        vectors = []
        for band in bands:
            rows, longest = torch.from_numpy(band), int(lengths[band].max())
            read = {name: values[rows, :longest] for name, values in features.items()}
            vectors.append(self.model(read)["sentence_embedding"])
        order = torch.from_numpy(np.argsort(np.concatenate(bands), kind="stable"))
        return {"sentence_embedding": torch.cat(vectors)[order]}


def load_sentence_encoder(folder: Path, pooling: str, positions: int) -> "SentenceTransformer":
    """Load an encoder with a pooling layer, in float32 on the CPU.

    Args:
        folder: The folder of the encoder.
        pooling: "cls", "mean" or "max".
        positions: The longest input in tokens.
    """
    with silence_transformers():
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

        options = {"dtype": torch.float32, "local_files_only": True}
        transformer = Transformer(str(folder), max_seq_length=positions, model_kwargs=options)
        add_global_attention(transformer.auto_model)
        return SentenceTransformer(
            modules=[transformer, Pooling(transformer.get_embedding_dimension(), pooling)], device="cpu"
        )


def tsdae_objective(model: "SentenceTransformer", windows: TrainingWindows) -> Objective:
    """Make the objective of `tsdae`. model: what `load_sentence_encoder` returns."""
    with silence_transformers():
        from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss

        loss = DenoisingAutoEncoderLoss(model, tie_encoder_decoder=True)

    def collate(numbers: Sequence[int], rng: np.random.Generator) -> dict[str, Any]:
        rows = [windows.tokens(number) for number in numbers]
        damaged = pad_windows([delete_words(ids, words, rng) for ids, words in rows], windows)
        return {"features": [damaged, pad_windows([ids for ids, _ in rows], windows)]}

    tokens = model.transformers_model.get_input_embeddings().weight.shape[0]
    return _objective(model, loss, collate, tokens)


def delete_words(ids: Integers, words: Integers, rng: np.random.Generator) -> Integers:
    """Delete each word with a probability of 60 %; at least one stays.

    Args:
        ids: int64 (tokens,), the token ids of a window.
        words: int64 (tokens,), rising, the word of each token.
        rng: Source of randomness.
    """
    number = words - words[0]
    kept = rng.random(number[-1] + 1) >= DELETED_SHARE
    kept[rng.integers(len(kept))] |= not kept.any()
    return np.asarray(ids[kept[number]])


def simcse_objective(model: "SentenceTransformer", windows: TrainingWindows) -> Objective:
    """Make the objective of `simcse`. model: what `load_sentence_encoder` returns."""
    with silence_transformers():
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        encoder: Any = EncoderInBands(model)  # the loss calls it, and asks for nothing else
        loss = MultipleNegativesRankingLoss(encoder, scale=SIMCSE_SCALE)

    def collate(numbers: Sequence[int], _rng: np.random.Generator) -> dict[str, Any]:
        batch = pad_windows([windows.tokens(number)[0] for number in numbers], windows)
        return {"features": [batch, batch]}

    return _objective(model, loss, collate)


def _objective(
    model: "SentenceTransformer", loss: nn.Module, collate: Collate, logits_per_position: int | None = None
) -> Objective:
    encoder = model.transformers_model
    return Objective(SentenceLoss(loss), encoder, encoder, collate, logits_per_position)
