"""A model folder, read without torch: its config, and hashes that identify the encoder in it."""

import hashlib
import json
import mmap
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import ModelUnavailable
from stages.embed.model_files.model_families import (
    SEPARABLE_ENCODERS,
    UNLIMITED_POSITIONS,
    counts_from_padding,
    is_causal,
)

# none of these changes what the encoder computes in evaluation mode
_IGNORED_CONFIG = re.compile(
    r"_name_or_path|transformers_version|torch_dtype|dtype|architectures|use_cache|gradient_checkpointing|.*dropout.*"
    r"|initializer_.*|id2label|label2id|num_labels|problem_type|finetuning_task|task_specific_params|output_.*|return_dict"
    r"|pooler_.*|tie_word_embeddings"
)
# prediction heads and poolers are not part of the encoder; position ids are a buffer that newer checkpoints lack
_IGNORED_TENSORS = re.compile(r"(.*\.)?pooler\..*|(.*\.)?position_ids|cls\..*|lm_head\..*")
_BASE_PREFIX = re.compile(r"(\w+)\.(?:embeddings|shared|wte)\.|(model)\.embed_tokens\.")


@dataclass(frozen=True)
class Config:
    """The content of config.json, and the facts in it that embedding needs.

    Attributes:
        folder: The model folder.
        values: The content of config.json.
        code_hashes: The folder's own Python files -> hex sha256; empty if they are not run.
    """

    folder: Path
    values: Mapping[str, Any]
    code_hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The family of the network, as `model_type` of transformers: "bert", "xlm-roberta"."""
        return str(self.values.get("model_type", ""))

    @property
    def dim(self) -> int:
        """The size of a vector."""
        return self._first_integer("hidden_size", "dim", "d_model", "n_embd", "emb_dim")

    @property
    def layers(self) -> int:
        """The number of layers, without the embeddings."""
        return self._first_integer("num_hidden_layers", "n_layers", "num_layers", "encoder_layers", "n_layer")

    @property
    def vocab_size(self) -> int:
        """The number of rows of the embedding matrix."""
        return self._first_integer("vocab_size")

    @property
    def pad_id(self) -> int:
        """The token id of padding."""
        value = self.values.get("pad_token_id")
        default = 1 if self.counts_from_padding else 0
        return value if isinstance(value, int) and 0 <= value < self.vocab_size else default

    @property
    def counts_from_padding(self) -> bool:
        """Whether positions start after the padding id, as in the RoBERTa family and MPNet."""
        return counts_from_padding(self.family)

    @property
    def is_causal(self) -> bool:
        """Whether a position attends to nothing behind it, as in a decoder, whose last position represents a text."""
        return is_causal(dict(self.values))

    @property
    def max_positions(self) -> int | None:
        """The longest input in tokens, special tokens included; None if the config contains no limit."""
        if self.family in UNLIMITED_POSITIONS:
            return None
        longest = self.values.get("max_position_embeddings", self.values.get("n_positions"))
        if not isinstance(longest, int):
            return None
        return longest - self.pad_id - 1 if self.counts_from_padding else longest

    @property
    def hash(self) -> str:
        """Hex sha256 of all values that can change what the encoder computes."""
        relevant = {key: value for key, value in self.values.items() if not _IGNORED_CONFIG.fullmatch(key)}
        code = {"code": dict(self.code_hashes)} if self.code_hashes else {}
        return hashlib.sha256(canonical_json(relevant | code)).hexdigest()

    def check(self) -> None:
        """Raise ModelUnavailable if the network does not read text, or its encoder cannot be used alone."""
        if not isinstance(self.values.get("vocab_size"), int):
            raise ModelUnavailable(
                f"{self.folder} contains a network of the family '{self.family}', which does not read text: its "
                "config.json has no vocab_size. Use a text encoder."
            )
        separable = self.family in SEPARABLE_ENCODERS or self.code_hashes
        if self.values.get("is_encoder_decoder") is True and not separable:
            raise ModelUnavailable(
                f"{self.folder} contains an encoder-decoder of the family '{self.family}', whose encoder cannot be "
                f"used alone. That is possible for {', '.join(sorted(SEPARABLE_ENCODERS))}."
            )

    def _first_integer(self, *names: str) -> int:
        for name in names:
            if isinstance(self.values.get(name), int):
                return int(self.values[name])
        raise ModelUnavailable(f"{self.folder}: config.json has no {names[0]}. Is this the folder of an encoder?")


def canonical_json(value: Any) -> bytes:
    """Return JSON in a canonical form: equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def read_config(folder: Path) -> Config:
    """Read the config of a model folder. Raises ModelUnavailable if it is missing or damaged."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelUnavailable(
            f"{folder} has no config.json: it is not a model folder, or the copy is incomplete. Copy the model again."
        ) from None
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read ({error}). Copy the model again.") from None
    if not isinstance(values, dict):
        raise ModelUnavailable(
            f"{path} is not the config of a model: it contains no JSON object. Copy the model again."
        )
    return Config(folder, values)


def checkpoint_files(folder: Path) -> tuple[Path, ...]:
    """Return the files with the weights that transformers would load. Raises ModelUnavailable if there are none."""
    for single in ("model.safetensors", "pytorch_model.bin"):
        if (folder / single).is_file():
            return (folder / single,)
        index = folder / f"{single}.index.json"
        if index.is_file():
            return _indexed_files(index)
    raise ModelUnavailable(
        f"{folder} contains no weights: neither model.safetensors nor pytorch_model.bin. Copy the model again."
    )


def _indexed_files(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{index} cannot be read ({error!r}). Copy the model again.") from None
    files = tuple(index.parent / str(name) for name in names)
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise ModelUnavailable(f"{index.parent} lacks {', '.join(missing) or 'its weights'}. Copy the model again.")
    return files


Tensor = tuple[str, tuple[int, ...], Any]  # dtype as safetensors names it, shape, a buffer of its bytes


def weights_hash(folder: Path) -> str:
    """Return the hex sha256 of the encoder's tensors (name, dtype, shape, bytes), sorted by name.

    The hash does not depend on the folder's place, on the number of files, or on poolers and prediction heads.
    """
    tensors: dict[str, Tensor] = {}
    for file in checkpoint_files(folder):
        tensors.update(_safetensors(file) if file.suffix == ".safetensors" else _torch_tensors(file))
    digest = hashlib.sha256()
    for name, full_name in sorted(_encoder_names(tensors).items()):
        dtype, shape, content = tensors[full_name]
        digest.update(canonical_json([name, dtype, list(shape)]))
        digest.update(content)
    return digest.hexdigest()


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shapes of the tensors in a .safetensors file. Raises ModelUnavailable if it is damaged."""
    return {name: shape for name, (_, shape, _) in _safetensors(path)}


def _encoder_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the encoder's tensors: name without the base prefix -> name in the checkpoint."""
    prefixes = {match[1] or match[2] for match in map(_BASE_PREFIX.match, tensors) if match}
    # in a checkpoint with a prediction head, the encoder's names have a prefix such as "bert."
    prefix = f"{prefixes.pop()}." if len(prefixes) == 1 else ""
    names = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
    used = {short: name for short, name in names.items() if not _IGNORED_TENSORS.fullmatch(short)}
    if any(short.startswith("encoder.") for short in used):
        # a decoder is not used; the encoder may contain a second copy of the embeddings that it shares with the decoder
        shared = {"encoder.embed_tokens.weight"} if "shared.weight" in used else set()
        used = {short: name for short, name in used.items() if not short.startswith("decoder.") and short not in shared}
    # transformers renames these on loading
    return {re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", short)): name for short, name in used.items()}


def _safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        header = int.from_bytes(content[:8], "little")
        entries = json.loads(bytes(content[8 : 8 + header]))
        entries.pop("__metadata__", None)
        data = content[8 + header :]
        if max((entry["data_offsets"][1] for entry in entries.values()), default=0) != len(data):
            raise ValueError("the file is truncated")
        for name, entry in entries.items():
            start, stop = entry["data_offsets"]
            yield name, (entry["dtype"], tuple(entry["shape"]), data[start:stop])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{path} is damaged ({error}). Copy the model again.") from None


_SAFETENSORS_DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64"}


def _torch_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    import torch

    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        for name, tensor in tensors.items():
            dtype = str(tensor.dtype).removeprefix("torch.")
            content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
            yield name, (_SAFETENSORS_DTYPES.get(dtype, dtype), tuple(tensor.shape), content)
    except Exception as error:  # torch's reader and unpickler raise errors of any type for a truncated file
        reason = str(error).partition("\n")[0]
        raise ModelUnavailable(f"{path} is damaged ({reason}). Copy the model again.") from None
