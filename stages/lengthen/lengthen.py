"""`embedonce lengthen`: checks an encoder, writes it as a Longformer, and compares the two on short inputs."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import CallError, ModelUnavailable
from data.text_format import join_words
from featurestore import EncoderTraining
from stages.embed.model_files.checkpoint import Config, read_config
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.model_files.model_lookup import find_model
from stages.embed.model_files.saved_encoders import check_new_name, encoders_folder, read_training, save_encoder
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder
from stages.embed.model_files.trust import resolve_remote_code
from stages.embed.network.static import is_static
from stages.embed.windows.tokens import TextTokenizer, load_tokenizer
from stages.lengthen.folder import copy_sentence_transformers_files, copy_tokenizer, open_tokenizer
from stages.lengthen.tensors import (
    SUPPORTED_FAMILIES,
    has_head,
    lengthen_tensors,
    longformer_config,
    read_tensors,
)

if TYPE_CHECKING:
    import torch

# of the largest hidden state: more than rounding, so a checkpoint with something that the conversion does not know
_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class LengthenRequest:
    """What is lengthened, and how.

    Attributes:
        model: A folder, an installed encoder, or a name on the hub.
        revision: A branch, tag or commit on the hub.
        name: The name of the new encoder; None for that of the model with the number of positions.
        positions: Its longest input in tokens, special tokens included.
        attention_window: Positions that a position attends to, half of them on either side.
    """

    model: str
    revision: str | None = None
    name: str | None = None
    positions: int = 4096
    attention_window: int = 512

    @property
    def new_name(self) -> str:
        """The name of the new encoder."""
        return self.name or f"{Path(self.model).name}-{self.positions}"


@dataclass(frozen=True, kw_only=True)
class LengthenedEncoder:
    """A new encoder.

    Attributes:
        name: Its name in the folder of encoders.
        folder: Its folder.
        model: The name of the original.
        family: The family of the original.
        positions: Its longest input in tokens, special tokens included.
        original_positions: That of the original.
        attention_window: Positions that a position attends to.
        equal_positions: Up to this many positions its hidden states are those of the original.
        largest_difference: Between the hidden states of both, measured on an input of that length and a padded one.
        has_masked_language_head: Whether it has the original's head for masked language modeling.
        notes: Sentences about what was not kept.
        bytes: The size of its files.
        seconds: How long it took.
    """

    name: str
    folder: Path
    model: str
    family: str
    positions: int
    original_positions: int
    attention_window: int
    equal_positions: int
    largest_difference: float
    has_masked_language_head: bool
    notes: tuple[str, ...]
    bytes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self) | {"folder": str(self.folder)}


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The original encoder: the folder of the model, and what its files say."""

    location: Path
    config: Config
    tokenizer: TextTokenizer
    positions: int
    training: EncoderTraining


def lengthen(request: LengthenRequest) -> LengthenedEncoder:
    """Write an encoder as a Longformer of more positions into the folder of encoders.

    Up to half of the attention window, every position attends to every other, and the hidden states are those of the
    original. Longer inputs are finite, but no training has seen them.

    Raises:
        CallError: The name is taken, or the positions or the attention window have no valid value.
        ModelUnavailable: The model is missing, damaged, of a family that is not supported, or has no tokenizer.
        StorageFailed: The folder of encoders cannot be written.
    """
    started = time.monotonic()
    check_new_name(request.new_name)
    source = _open_source(request)
    _check_lengths(request, source.positions)
    find_model(request.model, request.revision)  # the same folder, now with its weights
    equal = min(request.attention_window // 2, source.positions)
    kept = replace(source.training, fold_encoders={})
    with save_encoder(request.new_name, kept) as folder, silence_transformers():
        head = _write(request, source, folder)
        difference = _compare(source, folder, equal)
    new = encoders_folder() / request.new_name
    return LengthenedEncoder(
        name=request.new_name,
        folder=new,
        model=request.model,
        family=source.config.family,
        positions=request.positions,
        original_positions=source.positions,
        attention_window=request.attention_window,
        equal_positions=equal,
        largest_difference=difference,
        has_masked_language_head=head,
        notes=_notes(source.training),
        bytes=sum(path.stat().st_size for path in new.rglob("*") if path.is_file()),
        seconds=time.monotonic() - started,
    )


def _open_source(request: LengthenRequest) -> _Source:
    location = find_model(request.model, request.revision, with_weights=False)
    model = read_sentence_transformers_folder(location)
    if is_static(model):
        raise ModelUnavailable(
            f"{request.model} is a static model, which reads texts of any length. Choose an encoder."
        )
    folder = model.folder
    config = read_config(folder)
    if config.family not in SUPPORTED_FAMILIES:
        raise ModelUnavailable(
            f"{request.model} is of the family '{config.family}', which cannot be lengthened. Supported: "
            f"{join_words(SUPPORTED_FAMILIES)}."
        )
    resolve_remote_code(config, trust=False).check()
    if config.is_causal or config.values.get("position_embedding_type", "absolute") != "absolute":
        kind = "is a decoder" if config.is_causal else "has relative positions"
        raise ModelUnavailable(
            f"{request.model} {kind}, and cannot be lengthened. Use an encoder with a position matrix."
        )
    positions = config.max_positions
    if positions is None:
        raise ModelUnavailable(f"{folder}: config.json has no max_position_embeddings. Copy the model again.")
    training = read_training(location) or EncoderTraining(base=request.model)
    return _Source(
        location=location,
        config=config,
        tokenizer=load_tokenizer(folder),
        positions=positions,
        training=training,
    )


def _check_lengths(request: LengthenRequest, present: int) -> None:
    window, positions = request.attention_window, request.positions
    if positions <= present:
        raise CallError(f"{request.model} has {present:,} positions already. Use more than that for --positions.")
    if window < 4 or window % 2:
        raise CallError(
            f"attention-window is {window}, but half of it is on either side of a token: use an even one, at least 4."
        )
    if positions % window:
        below = positions - positions % window
        choices = f"{below} or {below + window}" if below > present else f"{below + window}"
        raise CallError(
            f"{positions} positions are not a multiple of the attention window of {window}, which is computed as a "
            f"whole. Use --positions {choices}."
        )


def _write(request: LengthenRequest, source: _Source, folder: Path) -> bool:
    """Write all files of the new encoder; returns whether it has a head for masked language modeling."""
    from safetensors.torch import save_file

    original = source.config.folder
    tokenizer = open_tokenizer(original)
    copy_tokenizer(original, folder, type(tokenizer).__name__, request.positions)
    copy_sentence_transformers_files(source.location, original, folder, request.positions)
    tensors = read_tensors(source.config)
    pad_id = _padding_id(source.config, tokenizer.pad_token_id)
    config = longformer_config(
        original, tensors, pad_id=pad_id, positions=request.positions, attention_window=request.attention_window
    )
    config.save_pretrained(folder)
    lengthened = lengthen_tensors(tensors, source.config, pad_id=pad_id, positions=request.positions)
    weights = folder / "model.safetensors"
    save_file(lengthened, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # safetensors lets nobody else read it
    return has_head(tensors)


def _padding_id(config: Config, of_tokenizer: int | None) -> int:
    """The padding id of the new encoder.

    A Longformer counts the tokens that are not padding to number its positions, as RoBERTa does. BERT numbers all, so
    its config may give the id of another token: that of multilingual-e5-small is the opening token of its tokenizer.
    """
    return config.pad_id if config.counts_from_padding or of_tokenizer is None else of_tokenizer


def _compare(source: _Source, folder: Path, positions: int) -> float:
    """Return the largest difference of hidden states on a text of `positions` tokens and one with padding.

    Raises ModelUnavailable if it is more than rounding.
    """
    import torch

    from stages.embed.network.torch_network import TorchNetwork

    configs = (source.config, read_config(folder))
    lengths = torch.tensor([positions, max(positions // 2, 1)])
    inside = torch.arange(positions) < lengths[:, None]
    ids = _example(source, positions, {config.pad_id for config in configs})
    states = []
    for config in configs:
        network = TorchNetwork(config.folder, (-1,), "float32", "cpu", onednn=False)
        with torch.inference_mode():
            states.append(network(ids.masked_fill(~inside, config.pad_id), lengths)[0][inside])
    difference = float((states[1] - states[0]).abs().max())
    if not difference <= _TOLERANCE * float(states[0].abs().max()):
        raise ModelUnavailable(
            f"{source.config.folder} cannot be lengthened: its hidden states would change by {difference:.1g}, so its "
            "network differs from those of its family."
        )
    return difference


def _example(source: _Source, positions: int, padding: set[int]) -> "torch.Tensor":
    """Return ids, int64 (2, positions): the opening tokens of a text, then random ones. padding: ids of padding."""
    import torch

    opening, generator = source.tokenizer.opening[:positions], torch.Generator().manual_seed(0)
    words = torch.tensor([number for number in range(source.config.vocab_size) if number not in padding])
    ids = words[torch.randint(len(words), (2, positions), generator=generator)]
    ids[:, : len(opening)] = torch.tensor(opening, dtype=torch.int64)
    return ids


def _notes(training: EncoderTraining) -> tuple[str, ...]:
    if not training.fold_encoders:
        return ()
    return ("its encoders of folds are not lengthened, so the record of the new one does not name them",)
