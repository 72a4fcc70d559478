"""What `embed` is asked for: a source, how it is encoded, and where its vectors are kept."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from data.corpus_summary import TaxonomySummary
from data.documents import Corpus, Documents
from data.errors import CallError
from data.ranges import MAX_COUNT, MAX_SEED, check_whole_number
from data.readers import read_corpus
from data.readers.inputs import STDIN
from data.readers.labels_in_taxonomy import attach_taxonomy
from data.readers.taxonomy_file import TaxonomyFile
from data.source_spec import SourceSpec
from data.splitting.train_test_split import assign_splits
from featurestore import Location
from stages.embed.encoder.options import Options
from stages.embed.windows.corpus_part import WHOLE_CORPUS, CorpusPart

__all__ = ["EmbedRequest"]


@dataclass(frozen=True, kw_only=True)
class EmbedRequest:
    """What to encode, how, and into which store.

    source: a file, a folder or the name of a benchmark, see `data.readers`; or a corpus that was read before.
    spec: how a file is read.
    options: how to encode; `device` may name several devices.
    explicit: the fields of `options` that the user set; the others follow the recipe of an existing `store`.
    store: the folder or URL of the store; None for one in `stores`, named for the corpus, the encoder and the recipe.
    stores: the folder of the stores.
    seed: of the train/test split, if the source has none, and of the sample.
    sample: the documents to draw at random (`draw_sample`), which become a corpus of their own; None for all.
    part: only this part of the corpus is encoded.
    taxonomy: of the labels, if neither `source` nor `spec` has one.
    on: the engine that encodes, one of `stages.engines.ENGINES`; None for processes of this call.
    """

    source: str | Corpus
    spec: SourceSpec = field(default_factory=SourceSpec)
    options: Options = field(default_factory=Options)
    explicit: Set[str] = frozenset()
    store: Location | None = None
    stores: Location = Path("stores")
    seed: int = 0
    part: CorpusPart = WHOLE_CORPUS
    taxonomy: TaxonomyFile | None = None
    on: str | None = None
    sample: int | None = None

    def __post_init__(self) -> None:
        """Raise CallError for a number out of range, and for what the workers of an engine cannot read or use."""
        check_whole_number("seed", self.seed, 0, MAX_SEED)
        if self.sample is not None:
            check_whole_number("sample", self.sample, 1, MAX_COUNT)
        if self.on is not None and (not isinstance(self.source, str) or self.source == STDIN):
            raise CallError("--on needs a source that every worker can read: a file, a folder, or a benchmark.")
        if self.on is not None and ("," in self.options.device or self.options.device == "all"):
            raise CallError(f"--on uses all devices: leave --device {self.options.device} out.")

    def read(self) -> Corpus:
        """The corpus or a sample of it, with a split for each document."""
        corpus = self.source if isinstance(self.source, Corpus) else read_corpus(self.source, self.spec)
        if self.taxonomy is not None:
            corpus = attach_taxonomy(corpus, self.taxonomy)
        corpus = assign_splits(corpus, self.seed, sample=self.sample)
        return replace(corpus, notes=(*corpus.notes, *_taxonomy_notes(corpus)))


def _taxonomy_notes(corpus: Corpus) -> Iterator[str]:
    if corpus.taxonomy is not None:
        labels = Documents.from_documents(corpus.documents).labels
        yield f"the taxonomy of the labels: {TaxonomySummary.of(corpus.taxonomy, labels)}"
