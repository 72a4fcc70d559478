"""Replacement of words by a masked language model: some words are masked, and others are drawn that may stand there.

Only words of a single token are replaced, by other words of a single token: the result needs no joining of word pieces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.errors import EmbedOnceError, ModelUnavailable
from stages.augment.words import Draft, Request
from stages.embed.batching.budget import CPU_DEFAULT, GPU_DEFAULT, TokenBudget, empty_gpu_cache, is_out_of_memory
from stages.embed.model_files.checkpoint import read_config
from stages.embed.model_files.saved_encoders import read_training
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder
from stages.embed.model_files.trust import needs_own_code
from stages.embed.network.torch_network import resolve_device
from stages.embed.windows.tokens import TextTokenizer, load_tokenizer
from stages.embed.windows.windowing import Windowing

if TYPE_CHECKING:
    from stages.adapt.masked_language_model import MaskedLanguageModel

__all__ = ["MaskedWords", "open_masked_words"]

LONGEST_WINDOW = 510
CANDIDATES = 10  # words that one is drawn from, by their probabilities
_LOGITS = 50  # tokens among which candidates are searched: many are word pieces or numbers
_DOCUMENTS = 64  # per batch of windows


def open_masked_words(
    texts: Sequence[str], folder: Path, name: str, rate: float, device: str = "auto"
) -> "MaskedWords":
    """Open an encoder that predicts masked words.

    Args:
        texts: of the documents.
        folder: of the encoder.
        name: the encoder's name for the user.
        rate: the share of a document's words that is replaced.
        device: a device name of PyTorch, or "auto".

    Raises:
        ModelUnavailable: it cannot predict masked tokens, or has no head that has learned to.
    """
    from stages.adapt.masked_language_model import open_masked_language_model

    training = read_training(folder)
    folder = read_sentence_transformers_folder(folder).folder
    if needs_own_code(read_config(folder)):
        raise ModelUnavailable(
            f"{name} needs Python code of its own, whose head for masked tokens is not used. Name an encoder with a "
            "head, as in --model bert-base-uncased."
        )
    model = open_masked_language_model(folder, name)
    if not model.has_own_head and not (training and training.steps and training.steps[-1].method == "mlm"):
        raise ModelUnavailable(
            f"{name} has no head for masked tokens, and its input embeddings, which never learned to be one, predict "
            "nonsense. Name an encoder with a head, as in --model bert-base-uncased, or adapt this one first with "
            "`embedonce adapt --method mlm`."
        )
    tokenizer, where = load_tokenizer(folder), resolve_device(device)
    longest, special = read_config(folder).max_positions, len(tokenizer.opening) + len(tokenizer.closing)
    window = LONGEST_WINDOW if longest is None else min(LONGEST_WINDOW, longest - special)
    budget = TokenBudget(CPU_DEFAULT if where == "cpu" else GPU_DEFAULT)
    return MaskedWords(texts, model.to(where), tokenizer, window, rate, budget)


@dataclass(frozen=True)
class MaskedWords:
    """Replaces some words of a document by words that a masked language model predicts in their places.

    texts: of the documents. window: tokens per window. rate: the share of the words that is replaced, at least one.
    budget: positions per batch.
    """

    texts: Sequence[str]
    model: "MaskedLanguageModel"
    tokenizer: TextTokenizer
    window: int
    rate: float
    budget: TokenBudget

    def drafts(self, requests: Sequence[Request]) -> Iterator[Draft | None]:
        """Yield a draft per request; None for a document without a word of a single token."""
        for first in range(0, len(requests), _DOCUMENTS):
            yield from self._drafts(requests[first : first + _DOCUMENTS])

    def _drafts(self, requests: Sequence[Request]) -> Iterator[Draft | None]:
        windows = self.tokenizer.tokenize([self.texts[row] for row, _ in requests], Windowing(self.window))
        first = np.cumsum(windows.tokens) - windows.tokens
        spans = [self._draw_words(self.texts[row], rng) for row, rng in requests]
        masked = np.array([start + token for start, words in zip(first, spans, strict=True) for token in words], int)
        logits = self._predict(windows.ids, windows.start, windows.length, masked)
        predictions = iter(zip(*logits, strict=True))
        for (row, rng), words in zip(requests, spans, strict=True):
            yield self._replace(self.texts[row], words, [next(predictions) for _ in words], rng)

    def _draw_words(self, text: str, rng: Random) -> dict[int, tuple[int, int]]:
        """Draw words of a text that are one token: the token's number -> the word's first character and its end."""
        words: dict[int, tuple[int, int]] = {}
        for token, (start, stop) in enumerate(self.tokenizer.character_spans(text).tolist()):
            start = stop - len(text[start:stop].lstrip())
            if text[start:stop].isalpha() and not (text[:start][-1:].isalnum() or text[stop : stop + 1].isalnum()):
                words[token] = start, stop
        chosen = sorted(rng.sample(list(words), min(max(1, round(self.rate * len(words))), len(words))))
        return {token: words[token] for token in chosen}

    def _predict(
        self, ids: NDArray[np.int32], start: NDArray[np.int64], length: NDArray[np.int64], masked: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Predict masked tokens: the most probable ids at each, and their logits, both (masked, _LOGITS).

        Args:
            ids: of all windows, one after the other.
            start: int64 (windows,), where each window starts in `ids`.
            length: int64 (windows,), tokens of each window.
            masked: int64 (masked,), the masked ones of `ids`, rising.
        """
        hidden = ids.astype(np.int64)
        hidden[masked] = self.model.mask_id
        window_of = np.searchsorted(start + length, masked, side="right")
        rows = np.unique(window_of)
        rows = rows[np.argsort(length[rows], kind="stable")[::-1]]
        top = min(_LOGITS, self.tokenizer.vocab_size)
        best = np.zeros((len(masked), top), np.int64), np.zeros((len(masked), top), np.float32)
        special = len(self.tokenizer.opening) + len(self.tokenizer.closing)
        while len(rows):
            batch = np.sort(rows[: max(self.budget.positions // int(length[rows[0]] + special), 1)])
            of_batch = np.flatnonzero(np.isin(window_of, batch))
            columns = len(self.tokenizer.opening) + masked[of_batch] - start[window_of[of_batch]]
            tokens = [hidden[start[row] : start[row] + length[row]] for row in batch]
            values = self._predict_batch(tokens, np.searchsorted(batch, window_of[of_batch]), columns, top)
            if values is None:
                self._halve_batches(len(batch), int(length[rows[0]]) + special)
                continue
            best[0][of_batch], best[1][of_batch] = values
            rows = rows[len(batch) :]
        return best

    def _predict_batch(
        self, tokens: Sequence[NDArray[np.int64]], row: NDArray[np.int64], column: NDArray[np.int64], top: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
        """The `top` most probable ids at each (row, column), best first, and their logits; None if memory runs out."""
        import torch

        opening, closing = self.tokenizer.opening, self.tokenizer.closing
        longest = max(map(len, tokens)) + len(opening) + len(closing)
        ids = torch.zeros((len(tokens), longest), dtype=torch.int64)
        attention, chosen = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
        for number, own in enumerate(tokens):
            padded = torch.tensor([*opening, *own.tolist(), *closing])
            ids[number, : len(padded)], attention[number, : len(padded)] = padded, 1
        chosen[torch.from_numpy(row), torch.from_numpy(column)] = True
        device = next(self.model.parameters()).device
        try:
            with torch.inference_mode():
                logits = self.model.logits(ids.to(device), attention.to(device), chosen.to(device))
                values, best = logits.float().topk(top, dim=1)
            return best.cpu().numpy(), values.cpu().numpy()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _halve_batches(self, windows: int, longest: int) -> None:
        if windows == 1:
            raise EmbedOnceError(f"One window of {longest:,} positions does not fit into memory. Use another --device.")
        self.budget.halve(windows * longest)
        empty_gpu_cache()

    def _replace(
        self,
        text: str,
        words: dict[int, tuple[int, int]],
        predictions: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]],
        rng: Random,
    ) -> Draft | None:
        pieces, end = [], 0
        for (start, stop), (ids, logits) in zip(words.values(), predictions, strict=True):
            pieces += [text[end:start], self._draw(text[start:stop], ids, logits, rng)]
            end = stop
        return Draft("".join([*pieces, text[end:]])) if words else None

    def _draw(self, word: str, ids: NDArray[np.int64], logits: NDArray[np.float32], rng: Random) -> str:
        """Draw another word from the most probable ones; the word itself if there is none."""
        known = (
            (_word_of(self.tokenizer, token), float(logit)) for token, logit in zip(ids.tolist(), logits, strict=True)
        )
        others = [(other, logit) for other, logit in known if other and other.casefold() != word.casefold()]
        if not others:
            return word
        names, values = zip(*others[:CANDIDATES], strict=True)
        drawn: str = rng.choices(names, np.exp(np.array(values) - values[0]).tolist())[0]
        return drawn.capitalize() if word.istitle() and drawn.islower() else drawn


@cache
def _word_of(tokenizer: TextTokenizer, token: int) -> str:
    """The word that a token is; "" for a piece of a word, a number or a sign."""
    (first,) = tokenizer.tokenize(["a"], Windowing(8)).ids.tolist()[:1]
    before, both = tokenizer.decode([first]), tokenizer.decode([first, token])
    word = both[len(before) :]
    return word.strip() if word.startswith(" ") and word.strip().isalpha() else ""
