"""The hyperparameters of training a network, in three groups. `heads/training/loop.py` is the loop that uses them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from sklearn.base import BaseEstimator

from heads.core.hyperparameters import Help, NestedHyperparameters, Range, Search
from heads.training.initialization import InitName
from heads.training.losses import LossName
from heads.training.optimizers import OptimizerName
from heads.training.samplers import SamplerName

__all__ = ["DeviceName", "Imbalance", "Optimization", "Stopping", "Training"]

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(eq=False, repr=False, kw_only=True)
class Optimization(BaseEstimator):
    """Gradient descent: optimizer, learning rate schedule, batches, initialization and device.

    A rule chooses `epochs` and `batch_size` if they are None (heads/training/length.py). AdamW: Loshchilov & Hutter
    2019. Linear warm-up, then cosine decay: Loshchilov & Hutter 2017. The choice of the default values is described in
    docs/explanation/training-defaults.md.
    """

    optimizer: Annotated[OptimizerName, Help("adamw, adam, or sgd with Nesterov momentum 0.9")] = "adamw"
    lr: Annotated[
        float, Range(above=0), Help("peak learning rate, reached after the warm-up"), Search(2e-4, 2e-2, log=True)
    ] = 2e-3
    weight_decay: Annotated[
        float, Range(0), Help("weight decay of matrices; biases and norms have none"), Search(1e-3, 0.3, log=True)
    ] = 0.01
    epochs: Annotated[
        int | None, Range(1), Help("maximum number of epochs; none for 20, or fewer for a large corpus")
    ] = None
    batch_size: Annotated[
        int | None, Range(1), Help("documents per batch; none for about the square root of the number of documents")
    ] = None
    min_steps: Annotated[
        int, Range(1), Help("minimum number of batches per epoch; small corpora are read several times per epoch")
    ] = 14
    warmup_ratio: Annotated[float, Range(0, 1), Help("fraction of all steps with a rising learning rate")] = 0.1
    max_grad_norm: Annotated[float, Range(above=0), Help("gradients are clipped to this norm")] = 1.0
    ema_decay: Annotated[
        float,
        Range(0, below=1),
        Help("decay of an exponential moving average of the weights, which is then evaluated and kept; 0 for none"),
    ] = 0.0
    init: Annotated[
        InitName, Help("initialization: each layer's default, or truncated_normal, xavier or kaiming for all")
    ] = "default"
    device: Annotated[DeviceName, Help("auto takes a CUDA or Apple GPU if there is one")] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Help("of matrix products; auto is bfloat16 on a GPU or CPU with instructions for it (CPU: AMX, AVX512-BF16)"),
    ] = "auto"


@dataclass(eq=False, repr=False, kw_only=True)
class Imbalance(BaseEstimator):
    """The loss, and how it treats rare labels; losses are defined in losses.py, samplers in samplers.py."""

    loss: Annotated[
        LossName, Help("loss function; cross_entropy is binary cross entropy for multi-label documents")
    ] = "cross_entropy"
    gamma: Annotated[float, Range(0), Help("focusing parameter of focal and asymmetric loss")] = 2.0
    label_smoothing: Annotated[
        float | None,
        Range(0, below=1),
        Help("label smoothing; none is 0.1 for cross_entropy with one label per document, else 0"),
    ] = None
    order: Annotated[
        tuple[str, ...] | None, Help("ordinal labels, lowest first, for the loss emd; fit-head --order sets it")
    ] = None
    sampler: Annotated[SamplerName, Help("which documents an epoch draws; instance draws each once")] = "instance"
    defer_class_weights: Annotated[
        float, Range(0, 1), Help("fraction of the epochs before class weights are used; no such epoch is kept")
    ] = 0.0


@dataclass(eq=False, repr=False, kw_only=True)
class Stopping(BaseEstimator):
    """Early stopping on a validation split of the training documents."""

    validation_fraction: Annotated[
        float, Range(0, 0.5), Help("fraction of the documents held out for early stopping; 0 trains all epochs")
    ] = 0.0
    patience: Annotated[int, Range(1), Help("epochs without improvement before training stops")] = 4
    monitor: Annotated[
        Literal["macro_f1", "accuracy", "loss"],
        Help("validation metric to improve (accuracy is that of whole label sets); the loss decides ties"),
    ] = "macro_f1"


@dataclass(eq=False, repr=False, kw_only=True)
class Training(NestedHyperparameters, BaseEstimator):
    """The hyperparameters of training a network; a group that is None has its default values."""

    optimization: Optimization | None = None
    imbalance: Imbalance | None = None
    stopping: Stopping | None = None

    def groups(self) -> tuple[Optimization, Imbalance, Stopping]:
        """The three groups, with defaults in place of None."""
        return self.optimization or Optimization(), self.imbalance or Imbalance(), self.stopping or Stopping()
