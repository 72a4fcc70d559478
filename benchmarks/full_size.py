"""`embed` with a full-size encoder: its published shape, random weights, real text; tokens per second and peak memory.

    python benchmarks/full_size.py [--shape xlm-roberta-base] [--documents 60]

No weights are downloaded: time and memory depend on the shape alone. The tokenizer is trained on the same text, so its
vocabulary is smaller than the encoder's; the table of embeddings has its full size.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from data.readers import read_corpus
from data.text_format import format_bytes
from stages.embed.encoder.model_catalog import MODEL_CATALOG

ROOT = Path(__file__).resolve().parent.parent


def make_encoder(shape_name: str, texts: list[str], folder: Path) -> None:
    """Write a model folder with a published shape, random weights, and a tokenizer trained on `texts`."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import AutoModel, PreTrainedTokenizerFast

    (shape,) = [shape for shape in MODEL_CATALOG if shape.name == shape_name]
    torch.manual_seed(0)
    model = AutoModel.from_config(shape.config())
    assert model.num_parameters() == shape.parameters
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=16_000, special_tokens=special, unk_token="<unk>")
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


@click.command()
@click.option("--shape", default="xlm-roberta-base")
@click.option("--documents", default=60)
@click.option("--json", "as_json", is_flag=True)
def main(shape: str, documents: int, as_json: bool) -> None:
    """Print tokens per second and peak memory of one `embed`."""
    texts = [document.text for document in read_corpus("reuters52").documents]
    with tempfile.TemporaryDirectory() as folder:
        model, source = Path(folder) / shape, Path(folder) / "sample.jsonl"
        make_encoder(shape, texts, model)
        source.write_text(
            "".join(
                json.dumps({"text": text, "label": str(row % 2)}) + "\n" for row, text in enumerate(texts[:documents])
            )
        )
        command = [sys.executable, str(ROOT / "cli.py"), "embed", str(source), "--model", str(model), "--json"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if as_json:
        speed = round(report["tokens_per_second"], 1)
        print(
            json.dumps(
                {"claim": f"{shape} with random weights: tokens per second", "value": speed, "bar": None, "holds": True}
            )
        )
        return
    speed = f"{report['tokens_per_second']:,.0f} tokens/s"
    print(f"{shape}: {report['tokens']:,} tokens of {documents} documents at {speed}, peak memory {format_bytes(peak)}")


if __name__ == "__main__":
    sys.exit(main())
