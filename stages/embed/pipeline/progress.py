"""What stage one tells: while it runs, and when it is done."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from stages.embed.windows.window_arrays import Windows

if TYPE_CHECKING:
    from stages.embed.batching.quantization_error import Float32Similarity


@dataclass(frozen=True)
class EmbedProgress:
    """Where stage one stands. Documents are distinct texts that were not in the store at the start.

    tokens: the documents' own, as often as windows share them. tokens_total: estimated from the texts' lengths for
    those not tokenised yet. seconds_left: None until the first batch is through. shards: committed so far. leaving: an
    interrupt came, and the batch at hand is the last.
    """

    documents: int
    documents_total: int
    tokens: int
    tokens_total: int
    tokens_per_second: float
    seconds_left: float | None
    shards: int
    interrupted: bool = False


Progress = Callable[[EmbedProgress], None]


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What stage one did.

    documents: rows of the corpus, or of the part asked for. encoded: distinct texts that went through the encoder now.
    already_stored: distinct texts that the store had. duplicate_texts: rows whose text an earlier row has. empty:
    encoded texts without a token.
    windows, tokens: encoded now, shared tokens as often as they were read. dropped_tokens: in no window, by --long or
    --max-windows; dropped_share: of all tokens of the texts encoded now. padding_efficiency: share of the encoder's
    positions that were not padding. failed: ids of documents left out, because their vectors are not finite.
    float32_similarity: of the vectors in int8 with those in float32.
    part: "3/8", or "" for the whole corpus; missing_in_other_parts: rows of the other parts that the store lacks still.
    batch_tokens: of a batch at the end, 0 where nothing was encoded; halvings: how often memory ran out.
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

    def to_json(self) -> dict[str, Any]:
        """Every figure by its name."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """What a person should read of it, most important last."""
        said = (self._work(), self._halved(), self._empty(), self._dropped(), self._elsewhere(), self._failed())
        return [*self.notes, *filter(None, said)]

    def _work(self) -> str:
        known = [f"{self.already_stored:,} were there already"] if self.already_stored else []
        known += [f"{self.duplicate_texts:,} have the text of another"] if self.duplicate_texts else []
        others = f" ({', '.join(known)})" if known else ""
        part = f"Part {self.part}: " if self.part else ""
        if not self.encoded:
            return f"{part}{_count(self.documents, 'document')}{others}: nothing was left to encode."
        return (
            f"{part}{_count(self.documents, 'document')}{others}: {self.encoded:,} encoded in {self.seconds:,.1f} s, "
            f"{_count(self.windows, 'window')} of {_count(self.tokens, 'token')}, "
            f"{self.tokens_per_second:,.0f} tokens/s, "
            f"{1 - self.padding_efficiency:.1%} padding, {_count(self.shards, 'shard')}."
        )

    def _halved(self) -> str:
        if not self.halvings:
            return ""
        times = "once" if self.halvings == 1 else f"{self.halvings} times"
        return f"Memory ran out {times}: a batch has at most {self.batch_tokens:,} positions now."

    def _elsewhere(self) -> str:
        if not self.part:
            return ""
        if not self.missing_in_other_parts:
            return "The other parts are done too."
        return f"{_count(self.missing_in_other_parts, 'document')} of other parts still missing."

    def _empty(self) -> str:
        return f"{_count(self.empty, 'text')} without a token." if self.empty else ""

    def _dropped(self) -> str:
        if not self.dropped_tokens:
            return ""
        dropped = f"{self.dropped_share:.1%} of the tokens ({self.dropped_tokens:,})"
        return f"{dropped} lie in no window and were dropped."

    def _failed(self) -> str:
        if not self.failed:
            return ""
        shown = ", ".join(f"'{name}'" for name in self.failed[:5]) + (" ..." if len(self.failed) > 5 else "")
        return f"{_count(len(self.failed), 'document')} left out, because the encoder gives no finite vectors: {shown}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass
class EmbedCounters:
    """What a call of `embed` has done so far; tokens as often as windows share them."""

    documents: int = 0  # done, also by another process
    documents_total: int = 0
    encoded: int = 0
    empty: int = 0
    windows: int = 0
    tokens: int = 0
    tokens_elsewhere: int = 0
    distinct_tokens: int = 0
    dropped_tokens: int = 0
    positions: int = 0
    padded: int = 0
    shards: int = 0
    seconds: float = 0.0
    characters: int = 0
    characters_known: int = 0
    tokens_known: int = 0

    def expect(self, documents: int, characters: int) -> None:
        """So much is to be done."""
        self.documents_total, self.characters = documents, characters

    def tokenised(self, characters: int, tokens: int) -> None:
        """Texts of so many characters turned out to have so many tokens."""
        self.characters_known += characters
        self.tokens_known += tokens

    def done_elsewhere(self, documents: int, tokens: int) -> None:
        """Another process has committed these."""
        self.documents += documents
        self.tokens_elsewhere += tokens

    def batch_done(self, windows: int, tokens: int, positions: int, padded: int, seconds: float) -> None:
        """One batch is through the encoder; `padded` are its positions with padding."""
        self.windows += windows
        self.tokens += tokens
        self.positions += positions
        self.padded += padded
        self.seconds += seconds

    def slice_done(self, windows: Windows, failed: int) -> None:
        """A slice of documents is ready to be written; `failed` of them are left out."""
        self.documents += len(windows)
        self.encoded += len(windows) - failed
        self.empty += int((windows.tokens == 0).sum())
        self.distinct_tokens += int(windows.tokens.sum())
        self.dropped_tokens += int(windows.dropped.sum())

    @property
    def tokens_per_second(self) -> float:
        """The documents' own tokens, by the seconds of the encoder."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def progress(self) -> EmbedProgress:
        """Where it stands."""
        unknown = self.characters - self.characters_known
        total = self.tokens_known + int(unknown * self.tokens_known / max(self.characters_known, 1))
        done = self.tokens + self.tokens_elsewhere
        rate = self.tokens_per_second
        left = (total - done) / rate if rate else None
        return EmbedProgress(self.documents, self.documents_total, done, total, rate, left, self.shards)

    def report(
        self,
        *,
        documents: int,
        distinct: int,
        already_stored: int,
        seconds: float,
        **others: Any,
    ) -> EmbedReport:
        """The whole of it. distinct: texts that differ, among so many documents. others: fields that no tally has."""
        return EmbedReport(
            documents=documents,
            encoded=self.encoded,
            already_stored=already_stored,
            duplicate_texts=documents - distinct,
            empty=self.empty,
            windows=self.windows,
            tokens=self.tokens,
            dropped_tokens=self.dropped_tokens,
            dropped_share=self.dropped_tokens / max(self.distinct_tokens, 1),
            seconds=seconds,
            tokens_per_second=self.tokens_per_second,
            padding_efficiency=self.positions / max(self.padded, 1),
            shards=self.shards,
            **others,
        )
