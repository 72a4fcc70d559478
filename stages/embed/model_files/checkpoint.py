"""A model folder read without torch: its config, and hashes that say whether two folders hold one encoder."""

import hashlib
import json
import mmap
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import ModelUnavailable
from stages.embed.model_files.model_families import ENCODER_TAKEN, WITHOUT_LIMIT, counts_from_padding, is_causal

# none of these can change what the encoder computes in evaluation
_CONFIG_LEFT_OUT = re.compile(
    r"_name_or_path|transformers_version|torch_dtype|dtype|architectures|use_cache|gradient_checkpointing|.*dropout.*"
    r"|initializer_.*|id2label|label2id|num_labels|problem_type|finetuning_task|task_specific_params|output_.*|return_dict"
    r"|pooler_.*|tie_word_embeddings"
)
# prediction heads and poolers are not part of the encoder; position ids are a buffer that newer checkpoints lack
_TENSORS_LEFT_OUT = re.compile(r"(.*\.)?pooler\..*|(.*\.)?position_ids|cls\..*|lm_head\..*")
_BASE_PREFIX = re.compile(r"(\w+)\.(?:embeddings|shared|wte)\.|(model)\.embed_tokens\.")


@dataclass(frozen=True)
class Config:
    """config.json, and the few facts of it that stage one needs.

    positions: longest input in tokens, None where the config names no limit. vocabulary: rows of the embedding matrix.
    code: the folder's own Python files that make the network -> hex sha256 of each; none where transformers makes it.
    """

    folder: Path
    values: Mapping[str, Any]
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The kind of network, as transformers names it: "bert", "xlm-roberta"."""
        return str(self.values.get("model_type", ""))

    @property
    def dim(self) -> int:
        """Numbers a vector."""
        return self._first("hidden_size", "dim", "d_model", "n_embd", "emb_dim")

    @property
    def layers(self) -> int:
        """Layers of the encoder, the embeddings not counted."""
        return self._first("num_hidden_layers", "n_layers", "num_layers", "encoder_layers", "n_layer")

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding matrix."""
        return self._first("vocab_size")

    @property
    def pad_id(self) -> int:
        """What fills a batch behind a window's end."""
        value = self.values.get("pad_token_id")
        default = 1 if self.counts_from_padding else 0
        return value if isinstance(value, int) and 0 <= value < self.vocabulary else default

    @property
    def counts_from_padding(self) -> bool:
        """Whether positions start behind the padding id, as in the RoBERTa family and MPNet."""
        return counts_from_padding(self.family)

    @property
    def causal(self) -> bool:
        """Whether a position reads nothing of what follows it, as in a decoder: its last position speaks for a text."""
        return is_causal(dict(self.values))

    @property
    def positions(self) -> int | None:
        """The longest input in tokens, special ones included; None where the config names no limit."""
        if self.family in WITHOUT_LIMIT:
            return None
        longest = self.values.get("max_position_embeddings", self.values.get("n_positions"))
        if not isinstance(longest, int):
            return None
        return longest - self.pad_id - 1 if self.counts_from_padding else longest

    @property
    def hash(self) -> str:
        """Hex sha256 of what can change a value."""
        kept = {key: value for key, value in self.values.items() if not _CONFIG_LEFT_OUT.fullmatch(key)}
        return hashlib.sha256(canonical_json(kept | ({"code": dict(self.code)} if self.code else {}))).hexdigest()

    def check(self) -> None:
        """Raise ModelUnavailable for a network that reads no text, or of which no encoder can be taken."""
        if not isinstance(self.values.get("vocab_size"), int):
            raise ModelUnavailable(
                f"{self.folder} holds a network of the kind '{self.family}', which reads no text: its config.json "
                "names no vocab_size. Take an encoder of text."
            )
        if self.values.get("is_encoder_decoder") is True and self.family not in ENCODER_TAKEN and not self.code:
            raise ModelUnavailable(
                f"{self.folder} holds a network of the kind '{self.family}', of which the encoder cannot be taken "
                f"alone. It can of {', '.join(sorted(ENCODER_TAKEN))}."
            )

    def _first(self, *names: str) -> int:
        for name in names:
            if isinstance(self.values.get(name), int):
                return int(self.values[name])
        raise ModelUnavailable(f"{self.folder}: config.json names no {names[0]}. Is this an encoder's folder?")


def canonical_json(value: Any) -> bytes:
    """JSON of which equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def read_config(folder: Path) -> Config:
    """The config of a model folder. Raises ModelUnavailable when it has none, or one that is cut short."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelUnavailable(
            f"{folder} has no config.json: it is not a model folder, or was copied in part."
        ) from None
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read ({error}). Copy the model again.") from None
    if not isinstance(values, dict):
        raise ModelUnavailable(f"{path} is not a model's config: it holds no names and values.")
    return Config(folder, values)


def checkpoint_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold the weights, in the order in which transformers looks for them."""
    for single in ("model.safetensors", "pytorch_model.bin"):
        if (folder / single).is_file():
            return (folder / single,)
        index = folder / f"{single}.index.json"
        if index.is_file():
            return _listed(index)
    raise ModelUnavailable(
        f"{folder} has no weights: neither model.safetensors nor pytorch_model.bin. Copy the model again."
    )


def _listed(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{index} cannot be read ({error!r}). Copy the model again.") from None
    files = tuple(index.parent / str(name) for name in names)
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise ModelUnavailable(f"{index.parent} lacks {', '.join(missing) or 'its weights'}. Copy the model again.")
    return files


Tensor = tuple[str, tuple[int, ...], Any]  # number type as safetensors names it, shape, a buffer of its bytes


def weights_hash(folder: Path) -> str:
    """Hex sha256 over the encoder's tensors (name, number type, shape, bytes), sorted by name.

    The same for a copied folder, a checkpoint in one file or several, with a pooler and prediction heads or without.
    """
    tensors: dict[str, Tensor] = {}
    for file in checkpoint_files(folder):
        tensors.update(_safetensors(file) if file.suffix == ".safetensors" else _torch_tensors(file))
    digest = hashlib.sha256()
    for name, full in sorted(_encoder_names(tensors).items()):
        kind, shape, content = tensors[full]
        digest.update(canonical_json([name, kind, list(shape)]))
        digest.update(content)
    return digest.hexdigest()


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The tensors of a .safetensors file by name, read from its header. Raises ModelUnavailable for a damaged one."""
    return {name: shape for name, (_, shape, _) in _safetensors(path)}


def _encoder_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The tensors of the encoder itself: their names without a base prefix -> their names in the checkpoint."""
    prefixes = {match[1] or match[2] for match in map(_BASE_PREFIX.match, tensors) if match}
    # a checkpoint that was trained with a head has the encoder under a name such as "bert."
    prefix = f"{prefixes.pop()}." if len(prefixes) == 1 else ""
    names = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
    kept = {short: name for short, name in names.items() if not _TENSORS_LEFT_OUT.fullmatch(short)}
    if any(short.startswith("encoder.") for short in kept):
        # of an encoder and a decoder only the first is read; the embeddings that both share may stand there once more
        shared = {"encoder.embed_tokens.weight"} if "shared.weight" in kept else set()
        kept = {short: name for short, name in kept.items() if not short.startswith("decoder.") and short not in shared}
    # what transformers renames on loading
    return {re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", short)): name for short, name in kept.items()}


def _safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        header = int.from_bytes(content[:8], "little")
        entries = json.loads(bytes(content[8 : 8 + header]))
        entries.pop("__metadata__", None)
        data = content[8 + header :]
        if max((entry["data_offsets"][1] for entry in entries.values()), default=0) != len(data):
            raise ValueError("it is cut short")
        for name, entry in entries.items():
            start, stop = entry["data_offsets"]
            yield name, (entry["dtype"], tuple(entry["shape"]), data[start:stop])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{path} is damaged ({error}). Copy the model again.") from None


_TORCH_TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64"}


def _torch_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    import torch

    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        for name, tensor in tensors.items():
            kind = str(tensor.dtype).removeprefix("torch.")
            content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
            yield name, (_TORCH_TYPES.get(kind, kind), tuple(tensor.shape), content)
    except Exception as error:  # whatever torch's reader and unpickler raise on a file that is cut short
        reason = str(error).partition("\n")[0]
        raise ModelUnavailable(f"{path} is damaged ({reason}). Copy the model again.") from None
