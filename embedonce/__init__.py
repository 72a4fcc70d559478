"""The Python interface of embedonce: everything that a notebook needs.

    import embedonce

    corpus = embedonce.embed("tickets.csv", text="body", label="queue")     # encoded once, then read from the store
    run = embedonce.fit_head("lstm", corpus, lr=1e-3)                       # cross-fitted, decided, scored once
    embedonce.compare([run, embedonce.fit_head("linear", corpus)])          # a table
    run.predict(["my printer is on fire"])

Nothing is printed but progress bars in a terminal or a notebook, which `progress=False` silences. Errors are in
`data.errors`: each is a sentence, and each is also the built-in error that you would catch (ValueError,
FileNotFoundError, LookupError, ...).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

try:
    from data.packages import check_packages
except ModuleNotFoundError as error:
    raise ImportError(
        "Another package named 'data' hides embedonce's own in this environment. Install embedonce in one of its own."
    ) from error

check_packages()

from stages.interactive.comparison import Comparison  # noqa: E402 - after the check
from stages.interactive.corpus import EmbeddedCorpus, TrainingSplit  # noqa: E402
from stages.interactive.parameters import names_parameters  # noqa: E402
from stages.interactive.progress_bar import progress_bar  # noqa: E402
from stages.interactive.run import Run  # noqa: E402

if TYPE_CHECKING:
    from featurestore import Location
    from heads.core.head import Head
    from heads.tuned_decision import TunedDecision
    from stages.comparing.choice import Cost

__all__ = [
    "Comparison",
    "EmbeddedCorpus",
    "Run",
    "TrainingSplit",
    "TunedDecision",
    "augment",
    "compare",
    "embed",
    "fit_head",
    "load_corpus",
    "load_run",
]


def __getattr__(name: str) -> Any:
    """TunedDecision, with which scikit-learn is imported: it takes most of the time of all imports here."""
    if name != "TunedDecision":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from heads.tuned_decision import TunedDecision

    return TunedDecision


@names_parameters
def embed(
    source: Any,
    *,
    text: "str | Sequence[str] | None" = None,
    template: str | None = None,
    label: "str | Sequence[Any] | None" = None,
    levels: "Sequence[str] | None" = None,
    taxonomy: "str | Path | Mapping[str, Any] | None" = None,
    model: str | None = None,
    id: str | None = None,
    split: str | None = None,
    test_file: str | Path | None = None,
    validation_file: str | Path | None = None,
    group: str | None = None,
    tabular: "Sequence[str] | None" = None,
    separator: str | None = None,
    path_separator: str | None = None,
    delimiter: str | None = None,
    quoting: str | None = None,
    header: str | None = None,
    encoding: str | None = None,
    label_names: Sequence[str] | None = None,
    stores: "str | Location" = "stores",
    store: "str | Location | None" = None,
    name: str | None = None,
    seed: int = 0,
    sample: int | None = None,
    progress: bool = True,
    **options: Any,
) -> EmbeddedCorpus:
    """Encode the documents of `source` that the store lacks, and return the corpus.

    Args:
        source: a path (a table or a folder, as `embedonce embed` reads it), a pattern such as "data/*.parquet", a list
            of `Path` objects, the name of a benchmark corpus, a list or a series of texts, a pandas or polars data
            frame, a `datasets.Dataset`, or a dict of data frames or datasets by split (`DatasetDict`).
        text, label, id, split, group: names of the columns; None has them guessed where that is safe, and "" reads none
            (not for text). With a list of texts, `label` is the list of their labels. `label="toxic,insult"` names
            columns of 0 and 1, one per label.
        template: how several columns make the text, as in "{subject}\\n{body}"; a line whose columns are all blank is
            dropped. None makes each column in `text` a line.
        levels: in place of a label, a list of the columns of the levels of a path, the top one first; a blank cell
            ends it.
        taxonomy: the nodes above the labels: a file with the columns child and parent, or a mapping from each node to
            its parent, or to a list of them.
        model: an encoder on the Hugging Face hub, an installed one, or a folder. None is that of `store` if it exists,
            else "all-MiniLM-L6-v2".
        test_file, validation_file: files of these splits, if `source` is a file of training documents.
        tabular: a list of further columns, which the heads linear, mlp and lightgbm use as additional inputs: "price",
            or with a kind (number, date or category) "zip:category".
        separator: separates labels in one cell of a multi-label corpus.
        path_separator: separates the levels of a label that is a path, as in rec/sport/hockey.
        delimiter: ends a cell of a CSV file.
        quoting: "standard" if double quotes enclose cells, "none" if they are text.
        header: "none" if the first row is a document; the columns are then called "1", "2", ...
        encoding: of a text file; None for UTF-8, or UTF-16 if it is.
        label_names: a list of names of labels that are numbers from 0, or lists with one 0 or 1 per label, in their
            order.
        stores: the folder of stores, also s3://bucket/folder.
        store: the store, also a URL; None is one in `stores`, named for the corpus and the encoder.
        name: the name of a corpus from memory; None is one made from its content.
        seed: of the split that is drawn if the source has none, and of the sample.
        sample: encode only this many documents, drawn by split and label; the corpus is then called NAME-sample3000.
        progress: whether a bar is shown.
        options: further fields of `stages.embed.Options`: window, stride, keep, precision, device, ... What is not
            given follows `store` if it exists.

    Raises:
        CallError: for what was requested, BadData for what the source holds; see data/errors.py.
    """
    from data.documents import Documents
    from data.errors import CallError
    from data.readers import file_sizes, read_corpus, report_reading
    from data.readers.in_memory import read_in_memory
    from data.readers.taxonomy_file import taxonomy_of_mapping
    from data.source_spec import SourceSpec
    from data.splitting.sampling import sample_name
    from featurestore import parse_location
    from stages.embed.pipeline.embed_request import EmbedRequest
    from stages.embed.pipeline.embed_source import embed_source
    from stages.interactive.arguments import encoding_options, list_argument

    label_column, labels = (label, None) if label is None or isinstance(label, str) else (None, label)
    spec = SourceSpec(
        text=(text,) if isinstance(text, str) else None if text is None else tuple(text),
        template=template,
        label=label_column,
        levels=list_argument("levels", levels),
        taxonomy=str(taxonomy) if isinstance(taxonomy, str | Path) else None,
        id=id,
        split=split,
        test_file=None if test_file is None else str(test_file),
        validation_file=None if validation_file is None else str(validation_file),
        group=group,
        tabular=list_argument("tabular", tabular),
        separator=separator,
        path_separator=path_separator,
        delimiter=delimiter,
        quoting=quoting,
        header=header,
        encoding=encoding,
        label_names=list_argument("label_names", label_names),
    )
    requested, explicit = encoding_options(model, options)
    graph = taxonomy_of_mapping(taxonomy) if isinstance(taxonomy, Mapping) else None
    if graph is not None:
        spec = spec.without_taxonomy()
    if isinstance(source, list | tuple) and source and all(isinstance(item, Path) for item in source):
        source, *others = map(str, source)
        spec = replace(spec, files=tuple(others) or None)
    is_file = isinstance(source, str | Path)
    if is_file and labels is not None:
        raise CallError(
            'A file has its labels in columns. Name one with label=, or several of 0 and 1 as label="one,two".'
        )
    if is_file:
        with (
            progress_bar("reading", visible=progress) as show,
            report_reading(file_sizes(str(source), spec), lambda done, total: show(done, total, "bytes")),
        ):
            corpus = read_corpus(str(source), spec)
    else:
        corpus = read_in_memory(source, spec, labels, name)
    notes: list[str] = []
    request = EmbedRequest(
        source=corpus,
        spec=spec,
        options=requested,
        explicit=explicit,
        store=None if store is None else parse_location(store),
        stores=parse_location(stores),
        seed=seed,
        taxonomy=graph,
        sample=sample,
    )
    with progress_bar("encoding", visible=progress) as show:
        home, _ = embed_source(
            request, notify=notes.append, progress=lambda now: show(now.tokens, now.tokens_total, "tokens")
        )
    texts = None if is_file else Documents.from_documents(corpus.documents).texts
    return EmbeddedCorpus(home, home.corpus(sample_name(corpus, sample)), notes, texts)


@names_parameters
def load_corpus(store: "str | Location", corpus: str | None = None) -> EmbeddedCorpus:
    """A corpus that was embedded before.

    Args:
        store: the folder of the store, or its URL.
        corpus: its name; None is the store's only one.

    Raises:
        FileMissing: if there is no store, UnknownName if it has no such corpus.
    """
    from featurestore import parse_location
    from stages.stores import open_corpus, open_store

    location = parse_location(store)
    home = open_store(location, location.parent)
    return EmbeddedCorpus(home, open_corpus(home, corpus))


@names_parameters
def augment(
    corpus: EmbeddedCorpus,
    method: str,
    *,
    copies: int | None = None,
    to: int | None = None,
    rate: float | None = None,
    seed: int = 0,
    model: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> EmbeddedCorpus:
    """Copy the training documents of a corpus with changes, and encode the copies into the same store.

    Args:
        corpus: of `embed` or `load_corpus`; the latter only if it was read from a file, which is read again.
        method: "deletion", "mlm", "sentences", "keyword-exchange" or "keyword-shuffle".
        copies: of each document; None is 1, or none with `to`.
        to: labels with fewer training documents are filled up to this many.
        rate: the share of the words or keywords that changes; None is the method's default.
        seed: of everything random.
        model: the encoder of "mlm"; None is that of the store.
        out: the file of the copies; None is augmented/CORPUS-METHOD.jsonl.
        progress: whether a bar is shown.

    Raises:
        BadData: if no document can be changed, or the texts are not available; CallError for what was requested.
    """
    from stages.augment.augment import augment as make_copies
    from stages.augment.copied_corpus import encode_copies
    from stages.augment.plan import AugmentPlan

    plan = AugmentPlan(method=method, copies=copies, to=to, rate=rate, seed=seed, model=model)
    file, store, texts = None if out is None else Path(out), corpus.features, corpus.texts_in_memory()
    with progress_bar("copying", visible=progress) as show:
        made = make_copies(
            store,
            corpus.table,
            plan,
            out=file,
            texts=texts,
            on_progress=lambda now: show(now.done, now.total, "copies"),
        )
    made.write()
    with progress_bar("encoding", visible=progress) as show:
        encode_copies(store, made, lambda now: show(now.tokens, now.tokens_total, "tokens"))
    return EmbeddedCorpus(store, store.corpus(made.corpus.name))


@names_parameters
def fit_head(
    head: "str | Head",
    corpus: EmbeddedCorpus,
    *,
    folds: int | None = None,
    seed: int = 0,
    validate_on: 'Literal["folds", "split"]' = "folds",
    test: bool = True,
    runs: str | Path = "runs",
    jobs: int | None = None,
    tabular: bool = True,
    augmented: "Sequence[str | EmbeddedCorpus]" = (),
    scored_level: int | None = None,
    objective: str | None = None,
    labels_only: bool = False,
    progress: bool = True,
    **hyperparameters: Any,
) -> Run:
    """Fit a head out-of-fold and on the whole training split, choose its decision rule, and score it once.

    Args:
        head: a name that `embedonce heads` lists, or an unfitted head.
        corpus: of `embed` or `load_corpus`; documents without a label are left out.
        folds: folds of the training split; None is 5, or fewer for a large corpus. An encoder that was cross-fitted
            has folds of its own.
        seed: of everything random.
        validate_on: "split" fits once without the corpus's validation split, which then chooses the decision rule and
            stops networks early instead of folds.
        test: whether the test split is scored.
        runs: the folder of runs. A run with the same head, data and seed is loaded from there instead of fitted again.
        jobs: fits at once, one process each; None is as many as there are cores if that saves time.
        tabular: whether the tabular columns of the corpus are used, by the heads that can.
        augmented: corpora of copies or their names: fitted on together with their origins, and never scored.
        scored_level: the level of the taxonomy whose nodes are scored, 1 for the top; the labels below them teach the
            heads that can use them. None for the labels as given.
        objective: what the decision rule is selected for, as in `embedonce fit-head --objective`: "accuracy", "mcc" or
            others that need no further option, for which there is `Run.decide`. None is "hf1" for labels that are paths
            or have a taxonomy of their own, else "macro-f1".
        labels_only: whether nodes of the taxonomy that are no label of a document are never predicted.
        progress: whether a bar is shown.
        hyperparameters: by the names that `embedonce heads NAME` lists, nested ones by their last part: `lr=1e-3`.

    Raises:
        CallError: for a hyperparameter that does not exist or is out of range, and for a corpus that cannot be learned.
    """
    from data.errors import CallError
    from heads.registry import make_head
    from stages.fitting.decision_options import DecisionOptions
    from stages.fitting.fit_head import fit_head as fit
    from stages.fitting.plan import FitPlan
    from stages.interactive.arguments import list_argument

    if hyperparameters and not isinstance(head, str):
        raise CallError("Hyperparameters go with the name of a head. Set those of a head object with set_params.")
    chosen = make_head(head, {**hyperparameters, "seed": seed}) if isinstance(head, str) else head
    copies = list_argument("augmented", augmented) or ()
    plan = FitPlan(
        head=chosen,
        folds=folds,
        seed=seed,
        validate_on=validate_on,
        test=test,
        skip_unlabeled=True,
        scored_level=scored_level,
        decision=DecisionOptions(objective=objective, labels_only=labels_only),
        copies=[corpus.features.corpus(each) if isinstance(each, str) else each.table for each in copies],
    )
    with progress_bar(chosen.name, visible=progress) as show:
        run, _ = fit(
            corpus.features,
            corpus.table if tabular else replace(corpus.table, tabular=None),
            plan,
            Path(runs),
            command=f"embedonce.fit_head({chosen.name!r})",
            on_progress=lambda now: show(now.step, now.steps, now.activity),
            jobs=jobs,
        )
    return Run(run)


def load_run(path: str | Path) -> Run:
    """The run in the folder `path`. Raises FileMissing if there is none, RunDamaged if it cannot be read."""
    from stages.fitting.runs import load

    return Run(load(Path(path)))


@names_parameters
def compare(
    runs: "Sequence[Run | str | Path] | str | Path" = "runs",
    metric: str | None = None,
    *,
    common: bool = False,
    margin: float = 0.005,
    cost: "Cost" = "predict",
) -> Comparison:
    """A table of runs, the best out-of-fold one first.

    Args:
        runs: runs, paths of runs, or a folder that holds runs. A note names each run in it that cannot be read, and
            those on other documents than the newest run.
        metric: what ranks them, as in `embedonce compare --metric`. By default the metric that their decision rules
            were selected by, if it is the same for all; else macro-F1, or the absolute error if all labels are ordinal.
        common: compare runs on different documents on those that all of them scored.
        margin: how much worse than the best run, in units of the metric, a cheaper one may be to be chosen.
        cost: what a cheaper run saves: predict, fit or size.

    Raises:
        CallError: if there is no run, if a run does not have the metric, or if the runs are on different documents and
            not `common`.
    """
    from data.errors import CallError
    from stages.comparing.selection import on_same_documents, select_runs
    from stages.comparing.table import choose_metric
    from stages.comparing.table import compare as compare_runs

    left_out: list[str] = []
    if isinstance(runs, str | Path):
        selected = select_runs((), Path(runs), left_out.append, common=common)
    else:
        stored = [run.stored if isinstance(run, Run) else load_run(run).stored for run in runs]
        if not stored:
            raise CallError("There is no run to compare. Pass runs, or the folder that holds them.")
        selected = on_same_documents(stored, left_out.append, common=common)
    ranking = choose_metric(selected, metric)
    return Comparison(compare_runs(selected, left_out, ranking, margin=margin, cost=cost))
