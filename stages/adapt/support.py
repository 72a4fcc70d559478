"""Which encoders can be adapted by which method: known from their files, before anything long starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from data.errors import ExtraMissing, ModelUnavailable
from stages.adapt.masked_language_model import check_masked_language_model
from stages.adapt.plan import AdaptPlan
from stages.embed.model_files.checkpoint import Config, read_config
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.model_files.model_families import ENCODER_CLASS_FAMILIES, ENCODER_DECODER_FAMILIES
from stages.embed.model_files.model_lookup import find_model
from stages.embed.model_files.sentence_transformers_folder import (
    SentenceTransformersFolder,
    read_sentence_transformers_folder,
)
from stages.embed.network.static import is_static

# families whose network can also be a decoder that attends to a vector
TSDAE_FAMILIES = frozenset({"bert", "camembert", "electra", "roberta", "xlm-roberta"})
POOLINGS = ("cls", "mean", "max")
_PACKAGES: Mapping[str, tuple[str, ...]] = {"mlm": ("accelerate",)}


@dataclass(frozen=True)
class BaseEncoder:
    """An encoder that can be adapted.

    name: for the user. location: its folder. files: the encoder in it, which may have a folder of its own.
    """

    name: str
    location: Path
    files: SentenceTransformersFolder

    @property
    def pooling(self) -> str:
        """How a window's vector is made of its positions: as the model does, or else the mean."""
        poolings = self.files.poolings
        return poolings[0] if len(poolings) == 1 and poolings[0] in POOLINGS else "mean"


def check_packages(plan: AdaptPlan) -> None:
    """Raise ExtraMissing if a package of the extra `adapt` that this plan needs is not installed."""
    needed = _PACKAGES.get(plan.method, ("accelerate", "sentence_transformers"))
    for name in (*needed, *(["peft"] if plan.train == "lora" else [])):
        if find_spec(name) is None:
            raise ExtraMissing(
                f"adapt --method {plan.method} needs the package {name.replace('_', '-')}: pip install "
                "'embedonce[adapt]'."
            )


def find_trainable_encoder(name: str, revision: str | None, check: Callable[[BaseEncoder], None]) -> BaseEncoder:
    """Find an encoder that has a network, and check it before its weights are downloaded.

    Args:
        name: A folder, an encoder made here, an installed encoder, or a name on the hub.
        revision: A branch, tag or commit on the hub.
        check: Raises an error if the encoder cannot be used; it reads configuration and tokenizer only.

    Raises:
        ModelUnavailable: There is no such encoder, or it is a static model.
    """
    for with_weights in (False, True):
        location = find_model(name, revision, with_weights=with_weights)
        base = BaseEncoder(name, location, read_sentence_transformers_folder(location))
        if is_static(base.files):
            raise ModelUnavailable(
                f"{name} is a static model: it has one vector per token and no network to train. Choose an encoder."
            )
        check(base)
    return base


def find_base_encoder(name: str, revision: str | None, plan: AdaptPlan) -> BaseEncoder:
    """Find an encoder and check that the plan's method can adapt it.

    Args:
        name: A folder, an encoder made here, an installed encoder, or a name on the hub.
        revision: A branch, tag or commit on the hub.
        plan: The method.

    Raises:
        ModelUnavailable: There is no such encoder, or its architecture is not supported.
    """
    return find_trainable_encoder(name, revision, lambda base: _check_method(base, plan))


def _check_method(base: BaseEncoder, plan: AdaptPlan) -> None:
    folder = base.files.folder
    config = read_config(folder)
    config.check()
    _check_family(base.name, config, plan)
    if plan.method == "mlm":
        check_masked_language_model(folder, base.name)
    if plan.method == "simcse" and not _has_dropout(folder):
        raise ModelUnavailable(
            f"{base.name} has no dropout, which makes the two vectors of a text that simcse compares. Choose --method "
            "mlm, or another encoder."
        )


def _has_dropout(folder: Path) -> bool:
    from transformers import AutoConfig

    with silence_transformers():
        values = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).to_dict()
    rates = [value for key, value in values.items() if "dropout" in key and not key.startswith("classifier")]
    return any(isinstance(rate, int | float) and rate > 0 for rate in rates)


def _check_family(name: str, config: Config, plan: AdaptPlan) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if config.family not in CONFIG_MAPPING_NAMES:
        raise ModelUnavailable(
            f"{name} is of the family '{config.family}', which transformers does not have, so it cannot be trained "
            "here. Choose another encoder."
        )
    kind = "a decoder" if config.is_causal else None
    if config.family in ENCODER_DECODER_FAMILIES or (config.family in ENCODER_CLASS_FAMILIES and plan.method == "mlm"):
        kind = "an encoder-decoder"
    if kind:
        raise ModelUnavailable(
            f"{name} is {kind} ({config.family}), which --method {plan.method} cannot train. Choose an encoder such as "
            "BERT or RoBERTa."
        )
    if plan.method == "tsdae" and config.family not in TSDAE_FAMILIES:
        raise ModelUnavailable(
            f"--method tsdae needs a network that can be a decoder, too ({', '.join(sorted(TSDAE_FAMILIES))}), and "
            f"{name} is of the family {config.family}. Choose --method mlm or simcse."
        )
