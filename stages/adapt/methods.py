"""The methods by name: how each divides windows into batches, and its loss."""

from data.target import Target
from stages.adapt.label_objective import label_batches, supervised_objective
from stages.adapt.masked_language_model import open_masked_language_model
from stages.adapt.masked_token_objective import load_transformers_tokenizer, masked_token_objective
from stages.adapt.objective import Epoch, Objective, batches_of_similar_length, random_batches
from stages.adapt.plan import AdaptPlan
from stages.adapt.sentence_objectives import load_sentence_encoder, simcse_objective, tsdae_objective
from stages.adapt.support import BaseEncoder
from stages.adapt.windows import TrainingWindows
from stages.embed.encoder.encoder import Encoder


def make_epoch(plan: AdaptPlan, windows: TrainingWindows, target: Target | None) -> Epoch:
    """How a method divides its windows into the batches of an epoch. target: as for `make_objective`."""
    if plan.method == "supervised":
        assert target is not None
        return label_batches(windows, target)
    if plan.method == "simcse":
        return random_batches(len(windows), least=2)
    return batches_of_similar_length(windows.lengths)


def make_objective(
    base: BaseEncoder, plan: AdaptPlan, encoder: Encoder, windows: TrainingWindows, target: Target | None
) -> Objective:
    """Load an encoder's network and make the objective of a method.

    Args:
        base: The encoder to start from.
        plan: The method.
        encoder: The same encoder as `embed` opens it.
        windows: What is learned from.
        target: The labels of the documents of `windows`, for `supervised`.
    """
    folder = base.files.folder
    if plan.method == "mlm":
        model = open_masked_language_model(folder, base.name).train().requires_grad_(True)
        return masked_token_objective(model, windows, load_transformers_tokenizer(folder))

    network = load_sentence_encoder(folder, base.pooling, encoder.windowing.window + encoder.extra_positions)
    if plan.method == "supervised":
        assert target is not None
        return supervised_objective(network, windows, target)
    return (tsdae_objective if plan.method == "tsdae" else simcse_objective)(network, windows)
