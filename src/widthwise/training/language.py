"""Language modelling: the next token of a text, scored by the cross entropy of a token.

A network that carries a state reads the text in columns, from window to window, and gradients end at the borders of the
windows (truncated backpropagation through time); others read windows in any order, each from nothing.
"""

# B batch, T tokens of a window, W windows, C columns, N tokens of a text
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from widthwise._shared import RecipeError, make_generator
from widthwise.curves import Score
from widthwise.elastic.objective import Criterion
from widthwise.graph import Example
from widthwise.training.batch import Batch
from widthwise.training.device import device_of
from widthwise.training.reading import Reading, State
from widthwise.training.recipe import Recipe
from widthwise.training.stream import Stream
from widthwise.training.task import SplitName, Task, take_loss
from widthwise.zoo import TextSplits, cut_windows, iterate_windows, lay_columns

__all__ = ["Language", "TokenLoss"]

_Outputs = Tensor | tuple[Tensor, State]
# Logits over a large vocabulary are what fills the memory: some 80 MB for 10,000 words.
_SCORE_TOKENS, _SCORE_COLUMNS = 2048, 10
_CALIBRATION_BATCH, _CALIBRATION_SAMPLES = 64, 2048
_NUM_COMPARED = 8


@final
class Language(Task):
    """The next token learned by cross entropy, in nats per token, which is the score too: lower is better.

    Args:
        recipe: What is trained; its `input_shape` is the number of tokens of a window, and its batch size the number of
            columns where a state is carried.
        splits: Its text.
        net: The network, which says how it reads.

    Raises:
        RecipeError: The network knows another vocabulary than the text has, or a batch is too large for the text.
    """

    score_name = "cross_entropy"

    def __init__(self, recipe: Recipe, splits: TextSplits, net: nn.Module) -> None:
        reading = Reading.of(net)
        assert reading is not None, "the data says that it is a text, and build_elastic that the network reads one"
        self._reading = reading
        self._splits = splits
        self._length = recipe.data.input_shape[0]
        self._batch_size = recipe.training.batch_size
        self._seed = recipe.training.seed
        self._state: State | None = None
        self._before: State | None = None
        _check_vocabulary(recipe, splits, net)
        if self.num_batches < 1:
            raise RecipeError(
                f"recipe {recipe.name}: expected a text of at least {self._least_tokens()} tokens for windows of "
                f"{self._length} (data.input_shape) in batches of {self._batch_size}, got {len(splits.train)}; lower "
                "training.batch_size or data.input_shape"
            )

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch."""
        if self._reading.state_shape is not None:
            return (self._num_rows - 1) // self._length
        return math.ceil(self._num_windows / self._batch_size)

    def order(self, generator: torch.Generator) -> Sequence[Tensor]:
        """Return the first tokens of the windows of each batch.

        Columns go from top to bottom, and the generator is not asked. Windows without a state come in any order, the
        first of them beginning at one of the first tokens, so that no two epochs cut the text at the same places.
        """
        if self._reading.state_shape is not None:
            tops_C = torch.arange(self._batch_size) * self._num_rows
            return [tops_C + window * self._length for window in range(self.num_batches)]
        start = int(torch.randint(self._length, (), generator=generator))
        order_W = torch.randperm(self._num_windows, generator=generator)
        return (start + self._length * order_W).tensor_split(self.num_batches)

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return the cross entropy per token of a batch; the state after it, without its gradients, is kept."""
        inputs, targets = self._tokens(net, batch)
        self._before = self._reading.first_state(inputs) if batch.step == 1 else self._state
        after: list[State] = []

        def criterion(outputs: _Outputs, targets: Tensor) -> Tensor:
            # Where several widths run on the same tokens, the first to come is the full one.
            if isinstance(outputs, tuple):
                after.append(outputs[1])
            return _cross_entropy(outputs, targets)

        loss = take_loss(net, (self._reading.arguments(inputs, self._before), targets), criterion)
        # Autocast may have cast it down, and what is handed in next time must be as wide as the first was.
        self._state = (after[0][0].detach().float(), after[0][1].detach().float()) if after else None
        return loss

    def last_call(self, net: nn.Module, batch: Batch) -> tuple[object, Criterion]:
        """Return the tokens of the batch with the state before it, and the cross entropy."""
        inputs, targets = self._tokens(net, batch)
        return (self._reading.arguments(inputs, self._before), targets), _cross_entropy

    def score(self, split: SplitName = "validation") -> Score[tuple[Tensor, Tensor]]:
        """Return the cross entropy per token on a split, a mean over windows; what fills no window is left out.

        Raises:
            DataError: The text is shorter than a window.
        """
        tokens_N = self._splits.validation if split == "validation" else self._splits.test
        name = self.score_name if split == "validation" else f"test_{self.score_name}"
        inputs_WT, targets_WT = cut_windows(tokens_N, self._length)
        size = max(1, _SCORE_TOKENS // self._length)
        batches = list(zip(inputs_WT.split(size), targets_WT.split(size), strict=True))
        if self._reading.state_shape is not None:
            batches = [_cut_columns(tokens_N, self._length)]
        return Score(TokenLoss(self._reading), batches, higher_is_better=False, name=name)

    def calibration_batches(self) -> list[tuple[Tensor, ...]]:
        """Return 2,048 windows of the training split, as batches of inputs."""
        inputs_WT = cut_windows(self._splits.train, self._length)[0]
        order_W = torch.randperm(len(inputs_WT), generator=make_generator(self._seed, Stream.CALIBRATION))
        parts = inputs_WT[order_W[:_CALIBRATION_SAMPLES]].split(_CALIBRATION_BATCH)
        return [cast("tuple[Tensor, ...]", self._arguments(part)) for part in parts]

    def compared_inputs(self) -> list[Example]:
        """Return eight windows of the validation split, and the first of them alone."""
        inputs_WT = cut_windows(self._splits.validation, self._length)[0][:_NUM_COMPARED]
        return [Example(args=self._arguments(part, busy=True), kwargs={}) for part in (inputs_WT, inputs_WT[:1])]

    def _tokens(self, net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        places_BT = batch.indices.unsqueeze(1) + torch.arange(self._length)
        device = device_of(net)
        inputs, targets = (self._reading.lay(self._splits.train[places_BT + shift]).to(device) for shift in (0, 1))
        return inputs, targets

    def _arguments(self, tokens_BT: Tensor, *, busy: bool = False) -> tuple[Tensor | State, ...]:
        tokens = self._reading.lay(tokens_BT)
        state = self._reading.first_state(tokens)
        if busy and state is not None:
            # A state of zeros would not tell whether a file reads it at all.
            generator = make_generator(self._seed, Stream.COMPARISON)
            state = (torch.rand(state[0].shape, generator=generator), torch.rand(state[1].shape, generator=generator))
        return self._reading.arguments(tokens, state)

    @property
    def _num_rows(self) -> int:
        return len(self._splits.train) // self._batch_size

    @property
    def _num_windows(self) -> int:
        # One less than there are, so that the first may begin at any of the first tokens.
        return len(self._splits.train) // self._length - 1

    def _least_tokens(self) -> int:
        return self._batch_size * (self._length + 1) if self._reading.state_shape is not None else 2 * self._length


@final
@dataclass(frozen=True, slots=True)
class TokenLoss:
    """The cross entropy per token of each window of a batch, in nats.

    Attributes:
        reading: How the networks read. With a state a batch is (windows, time, columns), one text per column, which
            goes on from window to window; without one it is (windows, time).
    """

    reading: Reading

    def __call__(self, net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return one number per window."""
        inputs, targets = (part.to(device_of(net)) for part in batch)
        if self.reading.state_shape is not None:
            return self._follow(net, inputs, targets)
        logits, wanted = net(self.reading.lay(inputs)), self.reading.lay(targets)
        losses = cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").reshape(wanted.shape)
        return losses.mean(dim=1 - self.reading.batch_dim)

    def _follow(self, net: nn.Module, inputs_WTC: Tensor, targets_WTC: Tensor) -> Tensor:
        state = self.reading.first_state(inputs_WTC[0])
        losses: list[Tensor] = []
        for inputs_TC, targets_TC in zip(inputs_WTC, targets_WTC, strict=True):
            logits_TCV, state = net(inputs_TC, state)
            losses.append(cross_entropy(logits_TCV.flatten(0, 1), targets_TC.flatten()))
        return torch.stack(losses)


def _cross_entropy(outputs: _Outputs, targets: Tensor) -> Tensor:
    logits = outputs[0] if isinstance(outputs, tuple) else outputs
    return cross_entropy(logits.flatten(0, 1), targets.flatten())


def _cut_columns(tokens_N: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return (inputs, targets), each (W, T, C), of a text of at least a window."""
    columns_TC = lay_columns(tokens_N, min(_SCORE_COLUMNS, len(tokens_N) // (length + 1)))
    inputs, targets = zip(*iterate_windows(columns_TC, length, whole_only=True), strict=True)
    return torch.stack(inputs), torch.stack(targets)


def _check_vocabulary(recipe: Recipe, splits: TextSplits, net: nn.Module) -> None:
    known = net.get_parameter("head.weight").shape[0]
    if known != splits.num_classes:
        raise RecipeError(
            f"recipe {recipe.name}: expected a network with the {splits.num_classes} tokens of the text "
            f"'{splits.name}', got one with {known}; set model.settings.vocabulary={splits.num_classes}"
        )
