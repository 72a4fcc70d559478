"""Copies as a corpus: written as JSON Lines, and encoded into the store of their origins."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from data.atomic_write import make_folder, write_atomically
from data.documents import Corpus, Document
from data.splits import Split
from featurestore import FeatureStore
from stages.embed.encoder.options import Options
from stages.embed.pipeline.encode_corpus import EmbedReport, embed
from stages.embed.pipeline.encoding_choice import EncodingChoice, StoreLocation, resolve_encoding
from stages.embed.pipeline.estimate import Estimate, estimate
from stages.embed.pipeline.progress import Progress
from stages.fitting.copies import ORIGIN_COLUMN

__all__ = ["AugmentedCorpus", "Copy", "encode_copies", "estimate_encoding"]

EXAMPLES = 3


class Copy(NamedTuple):
    """A copy, and the document that it was made of."""

    document: Document
    origin: Document


@dataclass(frozen=True, kw_only=True)
class AugmentedCorpus:
    """The copies, which may not be written yet.

    file: where they are written.
    planned: how many the plan asks for. is_sample: whether only a few of them were made.
    documents, copies: per label.
    seconds: that making them took.
    """

    corpus: Corpus
    file: Path
    made: tuple[Copy, ...]
    planned: int
    is_sample: bool
    documents: Counter[str]
    copies: Counter[str]
    seconds: float

    @property
    def examples(self) -> tuple[Copy, ...]:
        """A few copies of different documents, spread over the corpus."""
        distinct = list({copy.origin.id: copy for copy in reversed(self.made)}.values())[::-1]
        return tuple(distinct[len(distinct) * number // EXAMPLES] for number in range(min(EXAMPLES, len(distinct))))

    def write(self) -> None:
        """Write the copies as JSON Lines. Raises StorageFailed."""
        make_folder(self.file.parent)
        write_atomically(self.file, map(self._line, self.made))

    def _line(self, copy: Copy) -> bytes:
        document, labels = copy.document, copy.document.labels or ()
        row = {"id": document.id, "text": document.text}
        content = {**row, "label": list(labels) if self.corpus.kind == "multilabel" else labels[0]}
        line = json.dumps({**content, "split": str(Split.TRAIN), ORIGIN_COLUMN: document.group}, ensure_ascii=False)
        return f"{line}\n".encode(errors="backslashreplace")


def estimate_encoding(
    store: FeatureStore, copies: AugmentedCorpus, device: str = "auto", *, trust: bool = False
) -> Estimate:
    """Estimate what `encode_copies` would take for the copies that were made."""
    choice = _choose_encoding(store, copies, device, trust=trust)
    return estimate(copies.corpus, choice.encoder, store)


def encode_copies(
    store: FeatureStore, copies: AugmentedCorpus, progress: Progress, device: str = "auto", *, trust: bool = False
) -> EmbedReport:
    """Encode copies into the store of their corpus, as a corpus of its own; an interrupted call resumes.

    Args:
        store: the store.
        copies: the copies, which were written.
        progress: called after each batch.
        device: a device name of PyTorch, or "auto".
        trust: run Python code that comes with the encoder.

    Raises:
        EmbedOnceError: what `resolve_encoding` and `embed` raise.
    """
    choice = _choose_encoding(store, copies, device, trust=trust)
    return embed(copies.corpus, choice.encoder, store, progress)


def _choose_encoding(store: FeatureStore, copies: AugmentedCorpus, device: str, *, trust: bool) -> EncodingChoice:
    location = StoreLocation(copies.corpus.name, store.location.parent, store.location)
    return resolve_encoding(copies.corpus, Options(device=device, trust_remote_code=trust), location)
