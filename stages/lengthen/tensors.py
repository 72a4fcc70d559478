"""The weights and the config of a BERT or RoBERTa encoder as those of a Longformer.

Beltagy et al. 2020 (arXiv 2004.05150), section 5: the rows of the position matrix are repeated until there are enough,
and the projections of global attention start as copies of the local ones. Every layer then computes what it computed
before, for inputs so short that each position is within the attention window of every other.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config, checkpoint_files

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]

# their layers have the names and the order of computation of Longformer's
SUPPORTED_FAMILIES = ("bert", "camembert", "roberta", "xlm-roberta")
_WORDS = "embeddings.word_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_ENCODER = re.compile(r"(embeddings|encoder|pooler)\.(?!position_ids|token_type_ids)")
_PROJECTION = re.compile(r"(encoder\.layer\.\d+\.attention\.self\.(?:query|key|value))\.(weight|bias)")
# a head for masked language modeling: its names in BERT -> its names in RoBERTa and Longformer
_HEAD_OF_BERT = {
    "cls.predictions.transform.dense.": "lm_head.dense.",
    "cls.predictions.transform.LayerNorm.": "lm_head.layer_norm.",
    "cls.predictions.decoder.": "lm_head.decoder.",
    "cls.predictions.bias": "lm_head.bias",
}
_HEAD = frozenset(
    f"lm_head.{name}" for name in ("dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias", "bias")
)
# of transformers' config, under the same names in all families
_COPIED = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "type_vocab_size", "initializer_range", "layer_norm_eps"),
    *("bos_token_id", "eos_token_id", "sep_token_id", "tie_word_embeddings"),
)


def read_tensors(source: Config) -> Tensors:
    """Read the tensors of an encoder that a Longformer can use, without the encoder's prefix ("bert.").

    These are the encoder, its pooler, and its head for masked language modeling if Longformer's head computes the same.
    Raises ModelUnavailable if the weights are missing, damaged or not those of one encoder.
    """
    tensors: Tensors = {}
    for file in checkpoint_files(source.folder):
        tensors.update({_rename_norm(name): values for name, values in _read_file(file).items()})
    prefixes = [name.removesuffix(_WORDS) for name in tensors if name.endswith(_WORDS)]
    if len(prefixes) != 1:
        raise ModelUnavailable(f"{source.folder} contains the weights of {len(prefixes)} encoders, not of one.")
    own = {name.removeprefix(prefixes[0]): values for name, values in tensors.items() if name.startswith(prefixes[0])}
    encoder = {name: values for name, values in own.items() if _ENCODER.match(name)}
    return encoder | _read_head(tensors, source)


def _read_file(path: Path) -> Tensors:
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)  # type: ignore[no-any-return]
        return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
    except Exception as error:  # the readers of both formats raise errors of any type for a truncated file
        reason = str(error).partition("\n")[0]
        raise ModelUnavailable(f"{path} is damaged ({reason}). Copy the model again.") from None


def _rename_norm(name: str) -> str:
    """The name of a tensor as newer checkpoints have it."""
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))


def _read_head(tensors: Tensors, source: Config) -> Tensors:
    """Return the head for masked language modeling; nothing if it is incomplete, or has another activation."""
    head: Tensors = {}
    for name, values in tensors.items():
        start = next((start for start in _HEAD_OF_BERT if name.startswith(start)), "")
        if start or name.startswith("lm_head."):
            head[_HEAD_OF_BERT.get(start, "") + name.removeprefix(start)] = values
    if "lm_head.decoder.bias" in head:  # equal if the decoder's weights are those of the embeddings; else this is used
        head["lm_head.bias"] = head.pop("lm_head.decoder.bias")
    needed = _HEAD
    if source.values.get("tie_word_embeddings", True):
        head.pop("lm_head.decoder.weight", None)
    elif "lm_head.bias" in head:
        needed |= {"lm_head.decoder.weight"}
        head["lm_head.decoder.bias"] = head["lm_head.bias"]
    has_gelu = source.counts_from_padding or source.values.get("hidden_act", "gelu") == "gelu"
    return head if has_gelu and head.keys() >= needed else {}


def has_head(tensors: Mapping[str, Any]) -> bool:
    """Return whether `tensors` have a head for masked language modeling."""
    return "lm_head.dense.weight" in tensors


def lengthen_tensors(tensors: Tensors, source: Config, *, pad_id: int, positions: int) -> Tensors:
    """Convert the tensors of an encoder to those of a Longformer.

    Args:
        tensors: The result of `read_tensors`.
        source: The config of the encoder.
        pad_id: The padding id of the Longformer, whose positions start behind it.
        positions: The longest input of the Longformer.

    Returns:
        Tensors under the names of transformers' LongformerForMaskedLM if there is a head, else of its LongformerModel.
    """
    result = {name: values.contiguous().clone() for name, values in tensors.items()}
    first = source.pad_id + 1 if source.counts_from_padding else 0
    result[_POSITIONS] = _repeat_rows(tensors[_POSITIONS], first, pad_id + 1, positions)
    for name, values in tensors.items():
        if match := _PROJECTION.fullmatch(name):
            result[f"{match[1]}_global.{match[2]}"] = values.contiguous().clone()
    if not has_head(tensors):
        # of a head that a checkpoint lacks, transformers 5.23 initializes all but this, which would be arbitrary memory
        return result | {"lm_head.bias": tensors[_WORDS].new_zeros(source.vocab_size)}
    return {name if name.startswith("lm_head.") else f"longformer.{name}": values for name, values in result.items()}


def _repeat_rows(rows: "torch.Tensor", first: int, unused: int, positions: int) -> "torch.Tensor":
    """Return `unused` rows of zeros, which only padding reads, and the rows from `first` on, repeated."""
    import torch

    used = rows[first:]
    repeated = used[torch.arange(positions) % len(used)]
    return torch.cat([rows.new_zeros(unused, rows.shape[1]), repeated])


def longformer_config(folder: Path, tensors: Tensors, *, pad_id: int, positions: int, attention_window: int) -> Any:
    """Return transformers' LongformerConfig for the converted encoder.

    Args:
        folder: The folder of the original encoder.
        tensors: The result of `read_tensors`.
        pad_id: The padding id.
        positions: The longest input.
        attention_window: Positions that a position attends to, half of them on either side.
    """
    from transformers import AutoConfig, LongformerConfig

    source = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    copied = {name: getattr(source, name, None) for name in _COPIED}
    config = LongformerConfig(
        **copied,
        pad_token_id=pad_id,
        max_position_embeddings=positions + pad_id + 1,
        attention_window=[attention_window] * source.num_hidden_layers,
    )
    config.architectures = ["LongformerForMaskedLM" if has_head(tensors) else "LongformerModel"]
    config.dtype = tensors[_WORDS].dtype
    return config
