"""Copies of windows in each of which one token is masked, and how probable a model thinks that token."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import EmbedOnceError
from stages.adapt.masked_language_model import MaskedLanguageModel
from stages.embed.batching.budget import TokenBudget, empty_gpu_cache, is_out_of_memory
from stages.embed.windows.tokens import TextTokenizer
from stages.embed.windows.window_arrays import Integers, Windows, expand_ranges

__all__ = ["MaskedCopies", "PredictionProgress", "predict_masked_tokens"]


@dataclass(frozen=True)
class PredictionProgress:
    """Masked tokens that are predicted so far, and in total."""

    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class MaskedCopies:
    """Copies of windows in each of which one token is masked.

    document, window, column: int64 (copies,), the numbers of the document and of the window, and the masked token's
    place in the window. length: int64 (copies,), tokens of the window.
    """

    windows: Windows
    document: Integers
    window: Integers
    column: Integers
    length: Integers

    @classmethod
    def draw(cls, windows: Windows, most: int | None, seed: int) -> Self:
        """Draw the tokens to mask.

        Args:
            windows: Windows that do not overlap and leave no token out.
            most: Tokens per document at most, drawn at random without replacement; None for all tokens.
            seed: Of the draw.
        """
        rng = np.random.default_rng(seed)
        drawn = [
            np.arange(count) if most is None or count <= most else np.sort(rng.choice(count, most, replace=False))
            for count in windows.tokens.tolist()
        ]
        document = np.repeat(np.arange(len(drawn)), [len(tokens) for tokens in drawn])
        first = np.cumsum(windows.tokens) - windows.tokens
        begins = np.cumsum(windows.length) - windows.length  # of the windows, one after the other
        token = first[document] + np.concatenate(drawn)
        window = np.searchsorted(begins, token, side="right") - 1
        return cls(windows, document, window, token - begins[window], windows.length[window])

    def __len__(self) -> int:
        return len(self.document)

    def batch(
        self, copies: Integers, tokenizer: TextTokenizer, mask_id: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Build the batch of some copies.

        Args:
            copies: int64, the numbers of copies whose windows have one length.
            tokenizer: Knows the special tokens.
            mask_id: The id of the mask token.

        Returns:
            Ids with special tokens and one mask per row, int64 (copies, positions); bool of the same shape, where the
            masks are; and the original tokens there, int64 (copies,).
        """
        starts, length = self.windows.start[self.window[copies]], int(self.length[copies[0]])
        own = self.windows.ids[expand_ranges(starts, np.full(len(copies), length))].reshape(len(copies), length)
        opening, closing = (np.tile(ids, (len(copies), 1)) for ids in (tokenizer.opening, tokenizer.closing))
        ids = torch.from_numpy(np.hstack([opening, own, closing]).astype(np.int64))
        chosen = torch.zeros(ids.shape, dtype=torch.bool)
        chosen[torch.arange(len(copies)), torch.from_numpy(len(tokenizer.opening) + self.column[copies])] = True
        return ids.masked_fill(chosen, mask_id), chosen, ids[chosen]


def predict_masked_tokens(
    model: MaskedLanguageModel,
    copies: MaskedCopies,
    tokenizer: TextTokenizer,
    budget: TokenBudget,
    on_progress: Callable[[PredictionProgress], None],
) -> NDArray[np.float64]:
    """Compute the log-probability of the original token at each mask.

    A batch has windows of one length, which many copies share: so nothing is padded, and no value can depend on
    padding. The longest come first, so that memory runs out early or never; the batches are then made smaller.

    Args:
        model: On the device that computes.
        copies: What is predicted.
        tokenizer: The model's.
        budget: Positions per batch.
        on_progress: Called after each batch.

    Returns:
        float64 (copies,).

    Raises:
        EmbedOnceError: A single window does not fit into memory.
    """
    positions = copies.length + len(tokenizer.opening) + len(tokenizer.closing)
    predicted = np.zeros(len(copies))
    done, work, started = 0, 0, time.perf_counter()
    for length in np.unique(positions)[::-1].tolist():
        rows = np.flatnonzero(positions == length)
        while len(rows):
            batch = rows[: max(budget.positions // length, 1)]
            values = _predict_batch(model, copies.batch(batch, tokenizer, model.mask_id))
            if values is None:
                _use_smaller_batches(budget, len(batch), length)
                continue
            predicted[batch], rows = values, rows[len(batch) :]
            done, work = done + len(batch), work + len(batch) * length
            seconds_left = (time.perf_counter() - started) * (int(positions.sum()) / work - 1)
            on_progress(PredictionProgress(done, len(copies), seconds_left))
    return predicted


def _predict_batch(
    model: MaskedLanguageModel, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> NDArray[np.float64] | None:
    """The log-probability of each original token, float64 (copies,); None if memory runs out."""
    device = next(model.parameters()).device
    try:
        ids, chosen, original = (tensor.to(device) for tensor in batch)
        with torch.inference_mode():
            logits = model.logits(ids, None, chosen).float()
            values = logits.gather(1, original[:, None])[:, 0] - logits.logsumexp(1)
        return values.double().cpu().numpy()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def _use_smaller_batches(budget: TokenBudget, copies: int, length: int) -> None:
    if copies == 1:
        raise EmbedOnceError(
            f"One window of {length:,} positions does not fit into memory. Use a smaller window, or another device."
        )
    budget.halve(copies * length)
    empty_gpu_cache()
