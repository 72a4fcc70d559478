"""The progress of `embed` while it runs, and its report at the end."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from data.text_format import join_names, plural
from stages.embed.windows.window_arrays import Windows

if TYPE_CHECKING:
    from stages.embed.batching.float32_similarity import Float32Similarity


@dataclass(frozen=True)
class EmbedProgress:
    """How far `embed` is. Documents are distinct texts that the store lacked at the start.

    documents, documents_total: encoded so far, and in total.
    tokens: the documents' own, shared ones once per window.
    tokens_total: estimated from the lengths of the texts that are not tokenized yet.
    tokens_per_second: of the encoder alone.
    seconds_left: None until the first batch is encoded.
    shards: committed so far.
    interrupted: an interrupt came, and the current batch is the last.
    workers: of an engine, that work now.
    """

    documents: int
    documents_total: int
    tokens: int
    tokens_total: int
    tokens_per_second: float
    seconds_left: float | None
    shards: int
    interrupted: bool = False
    workers: int = 0


Progress = Callable[[EmbedProgress], None]


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What `embed` did.

    documents: rows of the corpus, or of the requested part.
    encoded: distinct texts that were encoded now.
    already_stored: distinct texts that the store had before.
    duplicate_texts: rows whose text an earlier row has.
    empty: encoded texts without tokens.
    mostly_unknown: encoded texts with more tokens that the encoder's vocabulary lacks than others.
    windows, tokens: encoded now; shared tokens once per window.
    dropped_tokens: tokens in no window, because of --long or --max-windows.
    dropped_share: their share of all tokens of the texts encoded now.
    seconds, tokens_per_second: of the whole call, and of the encoder alone.
    padding_efficiency: share of the encoder's positions that were not padding.
    shards: committed now.
    failed: ids of the documents that were skipped, because their vectors are not finite.
    notes: sentences about the corpus table and the vectors.
    float32_similarity: cosine similarity with vectors in float32; None in float32, and on a GPU.
    part: "3/8", or "" for the whole corpus.
    missing_in_other_parts: rows of the other parts that the store still lacks.
    batch_tokens: the token budget of a batch at the end, 0 if nothing was encoded.
    halvings: how often memory ran out.
    """

    documents: int
    encoded: int
    already_stored: int
    duplicate_texts: int
    empty: int
    windows: int
    tokens: int
    dropped_tokens: int
    dropped_share: float
    seconds: float
    tokens_per_second: float
    padding_efficiency: float
    shards: int
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    float32_similarity: "Float32Similarity | None" = None
    part: str = ""
    missing_in_other_parts: int = 0
    batch_tokens: int = 0
    halvings: int = 0
    mostly_unknown: int = 0

    def to_json(self) -> dict[str, Any]:
        """Every value by its name."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """The report as sentences, the most important last."""
        sentences = (
            self._describe_work(),
            self._describe_halvings(),
            self._describe_empty(),
            self._describe_unknown(),
            self._describe_dropped(),
            self._describe_other_parts(),
            self._describe_failed(),
        )
        return [*self.notes, *filter(None, sentences)]

    def _describe_work(self) -> str:
        known = [f"{self.already_stored:,} already in the store"] if self.already_stored else []
        known += [f"{self.duplicate_texts:,} with a duplicate text"] if self.duplicate_texts else []
        others = f" ({', '.join(known)})" if known else ""
        part = f"Part {self.part}: " if self.part else ""
        if not self.encoded:
            return f"{part}{plural(self.documents, 'document')}{others}: there was nothing to encode."
        return (
            f"{part}{plural(self.documents, 'document')}{others}: {self.encoded:,} encoded in {self.seconds:,.1f} s, "
            f"{plural(self.windows, 'window')} of {plural(self.tokens, 'token')}, "
            f"encoder at {self.tokens_per_second:,.0f} tokens/s, "
            f"{1 - self.padding_efficiency:.1%} padding, {plural(self.shards, 'shard')}."
        )

    def _describe_halvings(self) -> str:
        if not self.halvings:
            return ""
        times = "once" if self.halvings == 1 else f"{self.halvings} times"
        return f"Memory ran out {times}: the batches were reduced to {self.batch_tokens:,} tokens."

    def _describe_other_parts(self) -> str:
        if not self.part:
            return ""
        if not self.missing_in_other_parts:
            return "All other parts are complete."
        return f"{plural(self.missing_in_other_parts, 'document')} of the other parts still to encode."

    def _describe_empty(self) -> str:
        return f"{plural(self.empty, 'text')} without tokens." if self.empty else ""

    def _describe_unknown(self) -> str:
        if not self.mostly_unknown:
            return ""
        verb, possessive = ("consists", "its") if self.mostly_unknown == 1 else ("consist", "their")
        return (
            f"{plural(self.mostly_unknown, 'text')} {verb} mostly of words that the encoder does not know, so "
            f"{possessive} vectors say little. Another --model may know {possessive} language and script."
        )

    def _describe_dropped(self) -> str:
        if not self.dropped_tokens:
            return ""
        dropped = f"{self.dropped_share:.1%} of the tokens ({self.dropped_tokens:,})"
        return f"{dropped} are in no window and were dropped."

    def _describe_failed(self) -> str:
        if not self.failed:
            return ""
        names = join_names(self.failed)
        return f"{plural(len(self.failed), 'document')} skipped, because their vectors are not finite: {names}."


@dataclass
class EmbedCounters:
    """What one call of `embed` has done so far; shared tokens count once per window.

    documents: done, also by another process. failed: keys of the documents that were skipped. The other fields are as
    in `EmbedProgress` and `EmbedReport`.
    """

    documents: int = 0
    documents_total: int = 0
    encoded: int = 0
    empty: int = 0
    mostly_unknown: int = 0
    windows: int = 0
    tokens: int = 0
    tokens_elsewhere: int = 0
    distinct_tokens: int = 0
    dropped_tokens: int = 0
    positions: int = 0
    padded_positions: int = 0
    shards: int = 0
    seconds: float = 0.0
    characters: int = 0
    tokenized_characters: int = 0
    tokenized_tokens: int = 0
    batch_tokens: int = 0
    halvings: int = 0
    failed: set[str] = field(default_factory=set)

    def start(self, documents: int, characters: int) -> None:
        """Set what is to be encoded."""
        self.documents_total, self.characters = documents, characters

    def add_tokenized(self, characters: int, tokens: int) -> None:
        """Count texts that were tokenized."""
        self.tokenized_characters += characters
        self.tokenized_tokens += tokens

    def add_done_elsewhere(self, documents: int, tokens: int) -> None:
        """Count documents that another process has committed."""
        self.documents += documents
        self.tokens_elsewhere += tokens

    def add_batch(self, windows: int, tokens: int, positions: int, padded_positions: int, seconds: float) -> None:
        """Count an encoded batch; see `BatchCallback` in encode_slice.py."""
        self.windows += windows
        self.tokens += tokens
        self.positions += positions
        self.padded_positions += padded_positions
        self.seconds += seconds

    def add_slice(self, windows: Windows, failed: set[str]) -> None:
        """Count an encoded slice. windows: of all its documents, the skipped ones with keys `failed` too."""
        self.documents += len(windows)
        self.encoded += len(windows) - len(failed)
        self.empty += int((windows.tokens == 0).sum())
        self.mostly_unknown += windows.mostly_unknown
        self.distinct_tokens += int(windows.tokens.sum())
        self.dropped_tokens += int(windows.dropped.sum())
        self.failed |= failed

    @property
    def tokens_per_second(self) -> float:
        """The documents' own tokens per second of the encoder."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def progress(self) -> EmbedProgress:
        """The current progress."""
        unknown = self.characters - self.tokenized_characters
        total = self.tokenized_tokens + int(unknown * self.tokenized_tokens / max(self.tokenized_characters, 1))
        done = self.tokens + self.tokens_elsewhere
        rate = self.tokens_per_second
        left = (total - done) / rate if rate else None
        return EmbedProgress(self.documents, self.documents_total, done, total, rate, left, self.shards)

    def report(
        self, *, documents: int, distinct: int, already_stored: int, seconds: float, **others: Any
    ) -> EmbedReport:
        """The report at the end.

        Args:
            documents: rows of the corpus, or of the part.
            distinct: distinct texts among them.
            already_stored: those of them that the store had before.
            seconds: of the whole call.
            others: the fields of the report that are not counted here.
        """
        return EmbedReport(
            documents=documents,
            encoded=self.encoded,
            already_stored=already_stored,
            duplicate_texts=documents - distinct,
            empty=self.empty,
            mostly_unknown=self.mostly_unknown,
            windows=self.windows,
            tokens=self.tokens,
            dropped_tokens=self.dropped_tokens,
            dropped_share=self.dropped_tokens / max(self.distinct_tokens, 1),
            seconds=seconds,
            tokens_per_second=self.tokens_per_second,
            padding_efficiency=self.positions / max(self.padded_positions, 1),
            shards=self.shards,
            batch_tokens=self.batch_tokens,
            halvings=self.halvings,
            **others,
        )
