"""Pseudo-perplexity: how well an encoder predicts each token of a text from all others.

Salazar et al. 2020 (Masked Language Model Scoring, arXiv 1910.14659, section 2): each token is masked once, and its
log-probability is summed over the tokens of all documents; the pseudo-perplexity is exp(-sum / tokens).

With `masked_tokens`, only that many tokens of a document are masked. They are drawn at random without replacement, and
their sum is multiplied by the document's tokens per masked token, so that it is an unbiased estimate of the sum over
all tokens. The confidence interval is a percentile bootstrap over documents: it covers both samples, that of the
documents and that of their tokens.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from data.documents import Document
from data.errors import BadData, CallError, EmbedOnceError
from data.ranges import MAX_COUNT, MAX_SEED, check_whole_number
from data.readers import read_corpus
from data.source_spec import SourceSpec
from data.splits import Split
from data.splitting.train_test_split import assign_splits
from data.text_format import is_blank
from heads.evaluation.bootstrap import RESAMPLES, ConfidenceInterval
from stages.adapt.masked_copies import MaskedCopies, PredictionProgress, predict_masked_tokens
from stages.adapt.masked_language_model import head_note, open_masked_language_model
from stages.embed.batching.budget import CPU_DEFAULT, GPU_DEFAULT, TokenBudget
from stages.embed.model_files.checkpoint import read_config
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder
from stages.embed.network.backends import AUTO
from stages.embed.network.torch_network import default_precision, resolve_device
from stages.embed.windows.tokens import TextTokenizer, load_tokenizer
from stages.embed.windows.window_arrays import Integers
from stages.embed.windows.windowing import Windowing
from stages.fitting.predictions import CsvWriter

# a masked copy per token makes the cost of a document grow with the square of its windows
LONGEST_WINDOW = 510
_MOST_NATS = 700.0  # exp of more is infinite, which JSON has no number for
PRECISIONS = (AUTO, "float32", "bfloat16", "float16")
ALL = "all"  # documents of all splits


@dataclass(frozen=True, kw_only=True)
class PerplexityPlan:
    """What is measured, and where.

    documents: number of documents, drawn at random; None for all.
    masked_tokens: tokens of each document that are masked, drawn at random; None for all.
    window: tokens per window; a document's windows do not overlap. None for the encoder's longest, at most 510.
    seed: of both samples.
    device: a device name of PyTorch, or "auto".
    precision: the number type to compute in, of `PRECISIONS`.
    batch_tokens: positions per batch; None for the device's default.
    """

    documents: int | None = 200
    masked_tokens: int | None = 32
    window: int | None = None
    seed: int = 0
    device: str = AUTO
    precision: str = AUTO
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        """Raise CallError for a number out of range."""
        check_whole_number("seed", self.seed, 0, MAX_SEED)
        for name in ("documents", "masked_tokens", "window", "batch_tokens"):
            if (value := getattr(self, name)) is not None:
                check_whole_number(name.replace("_", "-"), value, 1, MAX_COUNT)


@dataclass(frozen=True, eq=False, kw_only=True)
class PseudoPerplexity:
    """The pseudo-perplexity of an encoder on some documents, which have at least one token each.

    ids: of the documents.
    tokens: int64 (documents,), their own tokens, without special tokens.
    masked: int64 (documents,), how many of them were masked.
    log_probability: float64 (documents,), the sum over all tokens, estimated from the masked ones.
    empty: documents without tokens, which are left out.
    window: tokens per window.
    has_own_head: whether the encoder's own head predicted the tokens, not a tied one.
    precision: the number type that was computed in.
    seconds: of predicting.
    notes: sentences for the user.
    """

    ids: Sequence[str]
    tokens: Integers
    masked: Integers
    log_probability: NDArray[np.float64]
    empty: int
    window: int
    has_own_head: bool
    precision: str
    seconds: float
    notes: tuple[str, ...]

    @property
    def value(self) -> float:
        """The pseudo-perplexity of all documents together."""
        return float(_perplexity(self.log_probability.sum(), self.tokens.sum()))

    @property
    def per_document(self) -> NDArray[np.float64]:
        """The pseudo-perplexity of each document, float64 (documents,)."""
        return _perplexity(self.log_probability, self.tokens)

    @cached_property
    def resampled(self) -> NDArray[np.float64]:
        """The pseudo-perplexity in each bootstrap resample of the documents, float64 (resamples,).

        Two results on the same documents have the same resamples, so that their ratios are paired.
        """
        count = len(self.tokens)
        draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        return _perplexity(draws @ self.log_probability, draws @ self.tokens)

    @property
    def interval(self) -> ConfidenceInterval:
        """The value with its 95 % confidence interval."""
        return ConfidenceInterval.from_resamples(self.value, self.resampled)

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values, without those of each document."""
        interval = self.interval
        return {
            "perplexity": self.value,
            "interval": [interval.low, interval.high],
            "documents": len(self.ids),
            "empty": self.empty,
            "tokens": int(self.tokens.sum()),
            "masked_tokens": int(self.masked.sum()),
            "window": self.window,
            "head": "own" if self.has_own_head else "tied",
            "precision": self.precision,
            "seconds": self.seconds,
        }


def _perplexity(log_probability: Any, tokens: Any) -> NDArray[np.float64]:
    return np.asarray(np.exp(np.minimum(-log_probability / tokens, _MOST_NATS)))


def pseudo_perplexity(
    folder: Path,
    documents: Sequence[Document],
    plan: PerplexityPlan | None = None,
    *,
    name: str | None = None,
    trust: bool = False,
    on_progress: Callable[[PredictionProgress], None] = lambda _: None,
) -> PseudoPerplexity:
    """Measure the pseudo-perplexity of an encoder on a random sample of documents.

    If memory runs out, the batches are made smaller.

    Args:
        folder: The folder of the encoder, from `find_model`.
        documents: The documents to draw from; blank ones are never drawn.
        plan: What is measured, and where.
        name: The encoder's name for the user; None for that of the folder.
        trust: Whether to run the folder's own Python code.
        on_progress: Called after each batch.

    Returns:
        The result. The same documents, tokenizer and plan draw the same tokens, whatever the encoder.

    Raises:
        ModelUnavailable: The encoder cannot predict masked tokens.
        CallError: The device does not exist, or the window is longer than the encoder allows.
        BadData: No document has a token.
        EmbedOnceError: A single window does not fit into memory, or log-probabilities are not finite.
    """
    plan, name = plan or PerplexityPlan(), name or folder.name
    folder = read_sentence_transformers_folder(folder).folder
    device = resolve_device(plan.device)
    precision = default_precision(device) if plan.precision == AUTO else plan.precision
    sample = draw_documents(documents, plan)
    tokenizer = load_tokenizer(folder)
    window = _window(folder, tokenizer, plan.window, name)
    windows = tokenizer.tokenize([document.text for document in sample], Windowing(window))
    kept = np.flatnonzero(windows.tokens)
    if not len(kept):
        raise BadData("No document has a token, so there is nothing to predict. Name another split or another corpus.")
    copies = MaskedCopies.draw(windows.select(kept), plan.masked_tokens, plan.seed)
    model = open_masked_language_model(folder, name, precision=precision, trust=trust).to(device)
    started = time.perf_counter()
    budget = TokenBudget(plan.batch_tokens or (CPU_DEFAULT if device == "cpu" else GPU_DEFAULT))
    predicted = predict_masked_tokens(model, copies, tokenizer, budget, on_progress)
    tokens, masked = windows.tokens[kept], np.bincount(copies.document, minlength=len(kept))
    if not np.isfinite(predicted).all():
        raise EmbedOnceError(f"{name} gives log-probabilities that are not finite in {precision}. Use float32.")
    return PseudoPerplexity(
        ids=[sample[row].id for row in kept],
        tokens=tokens,
        masked=masked,
        log_probability=np.bincount(copies.document, predicted, minlength=len(kept)) * tokens / masked,
        empty=len(sample) - len(kept),
        window=window,
        has_own_head=model.has_own_head,
        precision=precision,
        seconds=time.perf_counter() - started,
        notes=tuple(filter(None, (head_note(model, name), _memory_note(budget), _sample_note(len(kept))))),
    )


def read_documents(source: str, spec: SourceSpec, split: str, seed: int) -> tuple[list[Document], tuple[str, ...]]:
    """Read the documents of one split of a corpus.

    Args:
        source: A file, a folder or the name of a benchmark, as `read_corpus` takes it.
        spec: How it is read.
        split: "train" (the validation split is part of it), "test", or "all".
        seed: Of the train/test split, if the source has none and `split` is not "all"; as in `embed`.

    Returns:
        The documents, and notes on the corpus.

    Raises:
        BadData: The split has no documents.
        EmbedOnceError: What `read_corpus` and `assign_splits` raise.
    """
    corpus = read_corpus(source, spec)
    if split == ALL:
        return list(corpus.documents), corpus.notes
    corpus = assign_splits(corpus, seed)
    documents = [document for document in corpus.documents if (document.split == Split.TEST) == (split == Split.TEST)]
    if not documents:
        raise BadData(f"{source} has no documents in the {split} split. Choose another with --of.")
    return documents, corpus.notes


def draw_documents(documents: Sequence[Document], plan: PerplexityPlan) -> list[Document]:
    """Draw the plan's number of documents, in their order; blank ones are never drawn."""
    rows = [row for row, document in enumerate(documents) if not is_blank(document.text)]
    if plan.documents is not None and plan.documents < len(rows):
        rows = sorted(np.random.default_rng(plan.seed).choice(rows, plan.documents, replace=False).tolist())
    return [documents[row] for row in rows]


def _memory_note(budget: TokenBudget) -> str | None:
    return f"memory ran out: the batches were reduced to {budget.positions:,} tokens" if budget.halvings else None


def _sample_note(documents: int) -> str | None:
    return "the confidence interval is over documents, and there is only one" if documents == 1 else None


def _window(folder: Path, tokenizer: TextTokenizer, requested: int | None, name: str) -> int:
    """Tokens per window: the requested number, or as many as the encoder allows, at most `LONGEST_WINDOW`."""
    longest, special = read_config(folder).max_positions, len(tokenizer.opening) + len(tokenizer.closing)
    room = MAX_COUNT if longest is None else longest - special
    if requested is not None and requested > room:
        raise CallError(
            f"window is {requested:,}, but {name} has {longest:,} positions, {special} of them for special tokens: the "
            f"longest window is {room:,}."
        )
    return requested or min(room, LONGEST_WINDOW)


def write_per_document(result: PseudoPerplexity, out: TextIO) -> None:
    """Write the documents as CSV: id, tokens, masked tokens, estimated sum of log-probabilities, pseudo-perplexity."""
    table = CsvWriter(out)
    table.writerow(["id", "tokens", "masked_tokens", "log_probability", "perplexity"])
    columns = (result.ids, result.tokens, result.masked, result.log_probability, result.per_document)
    for identifier, tokens, masked, log_probability, perplexity in zip(*columns, strict=True):
        table.writerow([identifier, str(tokens), str(masked), f"{log_probability:.6g}", f"{perplexity:.6g}"])
