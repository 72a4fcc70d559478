"""The steps that lead to a verdict: encoding with both encoders, fitting heads, and measuring perplexity."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from data.documents import Document, Documents
from data.errors import BadData, CallError
from data.text_format import format_duration
from featurestore import FeatureStore
from heads.evaluation.bootstrap import ConfidenceInterval
from stages.adapt.adapt import Adaptation, TrainedEncoder
from stages.adapt.masked_copies import PredictionProgress
from stages.adapt.perplexity import PerplexityPlan, PseudoPerplexity, pseudo_perplexity
from stages.adapt.verdict import HeadComparison, OnWork, PerplexityChange, Verdict, compare_heads
from stages.embed.encoder.options import Options
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.embed.pipeline.progress import EmbedProgress

PERPLEXITY_DOCUMENTS = 100
PERPLEXITY_TOKENS = 16  # of each, masked one at a time

Notify = Callable[[str], None]


def judge(
    adaptation: Adaptation,
    trained: Sequence[TrainedEncoder],
    *,
    notify: Notify,
    on_work: OnWork,
) -> Verdict:
    """Encode the corpus with the original and the adapted encoders, compare heads, and save the verdict.

    Args:
        adaptation: What was adapted.
        trained: Its encoders, that of the requested name last.
        notify: Called with sentences for the user.
        on_work: Called after each batch and before each fit.

    Returns:
        The verdict, which is also in the folder of the last encoder.

    Raises:
        EmbedOnceError: What `embed_source`, `compare_heads` and `pseudo_perplexity` raise; but if heads cannot be
            compared on this corpus, the verdict says why.
    """
    perplexity = measure_perplexity(adaptation, trained, on_work)
    documents, heads, problem = 0, tuple[HeadComparison, ...](), ""
    if adaptation.has_labels:
        stores = [_encode(adaptation, adaptation.request.encoding, notify, on_work)]
        recipe = stores[0].recipe
        for encoder in trained:  # in the same way, so that the stores of folds match
            options = replace(
                adaptation.request.encoding,
                model=encoder.training.name,
                revision=None,
                prefix=recipe.prefix,
                backend=recipe.backend,
                precision=recipe.precision,
            )
            stores.append(_encode(adaptation, options, notify, on_work))
        table = stores[-1].corpus(adaptation.corpus.name)
        try:
            documents, heads = compare_heads(stores[0], stores[-1], table, adaptation.request.plan.seed, on_work)
        except (BadData, CallError) as error:  # a fold without a rare label, say: the training is of use nevertheless
            problem = str(error)
    verdict = Verdict(documents=documents, heads=heads, perplexity=perplexity, problem=problem)
    verdict.save(trained[-1].folder)
    return verdict


def _encode(adaptation: Adaptation, options: Options, notify: Notify, on_work: OnWork) -> FeatureStore:
    plan, stores = adaptation.request.plan, adaptation.request.stores
    request = EmbedRequest(source=adaptation.source, options=options, stores=stores, seed=plan.seed)

    def show(now: EmbedProgress) -> None:
        if now.interrupted:
            notify("finishing this batch")
            return
        left = "?" if now.seconds_left is None else format_duration(now.seconds_left)
        on_work(now.tokens, now.tokens_total, f"encoding with {options.model}, {left} left")

    store, _ = embed_source(request, notify=notify, progress=show)
    return store


def measure_perplexity(
    adaptation: Adaptation, trained: Sequence[TrainedEncoder], on_work: OnWork
) -> PerplexityChange | None:
    """Pseudo-perplexity before and after `mlm`, on documents that were not learned from; None if that says nothing.

    Other methods train vectors of whole windows and leave no head for masked tokens. With folds, the first fold's
    encoder is measured on that fold.
    """
    encoder = trained[0]
    rows = encoder.training.selection.held_out.tolist()
    if adaptation.request.plan.method != "mlm" or not rows:
        return None
    documents = Documents.from_documents(adaptation.corpus.documents)
    texts = zip(rows, documents.texts_at(rows), strict=True)
    held_out = [Document(documents.ids[row], text, documents.labels[row]) for row, text in texts]

    def measure(folder: Path, name: str) -> PseudoPerplexity:
        plan = PerplexityPlan(
            documents=PERPLEXITY_DOCUMENTS,
            masked_tokens=PERPLEXITY_TOKENS,
            window=adaptation.encoder.windowing.window,
            seed=adaptation.request.plan.seed,
            device=adaptation.request.plan.device,
        )

        def show(now: PredictionProgress) -> None:
            on_work(now.done, now.total, f"perplexity of {name}, {format_duration(now.seconds_left)} left")

        return pseudo_perplexity(folder, held_out, plan, name=name, on_progress=show)

    before = measure(adaptation.base.location, adaptation.base.name)
    after = measure(encoder.folder, encoder.folder.name)
    ratio = ConfidenceInterval.from_resamples(after.value / before.value, after.resampled / before.resampled)
    return PerplexityChange(documents=len(before.ids), before=before.interval, after=after.interval, ratio=ratio)
