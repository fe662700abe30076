import math
import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from tests.training.texts import TEXT, TRANSFORMER, WINDOWS, make_text, make_tokens
from widthwise._shared import DataError, RecipeError
from widthwise.training import Task, build_elastic, build_task, load_splits, network, parse_recipe
from widthwise.training.batch import Batch
from widthwise.training.language import Language, TokenLoss
from widthwise.training.reading import Reading, State
from widthwise.zoo import LSTMLanguageModel, TextSplits, lay_columns


class Watch(nn.Module):
    """Gives even logits, a state that counts its calls, and remembers what it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[State] = []
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        self.states.append(state)
        logits = self.scale + torch.zeros(*tokens.shape, 4)
        return logits, (state[0] + 1 + self.scale, state[1] - 1 + self.scale)


def make_task(text: str, *overrides: str, splits: TextSplits | None = None) -> Task:
    recipe = parse_recipe(text, overrides=overrides)
    return build_task(recipe, splits or make_text(), network.build_network(recipe))


def batches(task: Task, epoch: int = 1) -> Iterator[Batch]:
    parts = task.order(torch.Generator().manual_seed(epoch))
    for step, indices in enumerate(parts, start=1):
        yield Batch(indices=indices, epoch=epoch, step=step, is_last=step == len(parts))


def test_columns_go_on_from_batch_to_batch_and_hold_the_text() -> None:
    task, text = make_task(TEXT), make_text()
    parts = task.order(torch.Generator())
    assert len(parts) == task.num_batches == 19
    rows = torch.cat([text.train[indices.unsqueeze(1) + torch.arange(5)] for indices in parts], dim=1)
    assert torch.equal(rows.t(), lay_columns(text.train, 8)[:95])


def test_windows_without_a_state_are_all_there_once_wherever_the_first_begins() -> None:
    for text in (WINDOWS, TRANSFORMER):
        task = make_task(text)
        one, other = (torch.cat(list(task.order(torch.Generator().manual_seed(seed)))) for seed in (0, 1))
        assert task.num_batches == math.ceil(159 / 8)
        assert {len(part) for part in task.order(torch.Generator())} <= {7, 8}
        for places in (one, other):
            assert len(set(places.tolist())) == 159
            assert len({place % 5 for place in places.tolist()}) == 1
            assert int(places.min()) >= 0
            assert int(places.max()) + 5 < 801
        assert not torch.equal(one, other)


def test_the_state_goes_from_batch_to_batch_without_its_gradient_and_begins_anew_with_an_epoch() -> None:
    task, net = make_task(TEXT), Watch()
    for batch in batches(task):
        loss = task.loss(net, batch)
        assert float(loss.detach()) == pytest.approx(math.log(4), rel=1e-6)
        loss.backward()
    assert [float(state[0].mean()) for state in net.states] == list(range(19))
    assert not any(part.requires_grad for state in net.states for part in state)
    assert net.states[0][0].shape == (1, 8, 16)
    net.states.clear()
    task.loss(net, next(batches(task, epoch=2)))
    assert not net.states[0][0].any()


def test_the_target_of_each_token_is_the_next_one() -> None:
    class Successor(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            return 50.0 * nn.functional.one_hot((tokens + 1) % 3, 4)

    splits = TextSplits(
        name="a",
        train=torch.arange(301) % 3,
        validation=torch.arange(60) % 3,
        test=torch.arange(60) % 3,
        vocabulary=tuple("abc."),
    )
    for text in (WINDOWS, TRANSFORMER):
        task = make_task(text, splits=splits)
        assert all(float(task.loss(Successor(), batch)) < 1e-6 for batch in batches(task))
        assert task.score()(Successor()) < 1e-6


def test_the_score_is_the_mean_loss_of_a_token_with_the_state_carried_through_the_split() -> None:
    net = LSTMLanguageModel(vocabulary=4, embedded=6, hidden=16, num_layers=1).eval()
    score = make_task(TEXT).score()
    columns = lay_columns(make_text().validation, 10)[:16]
    with torch.no_grad():
        logits, _ = net(columns[:-1])
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), columns[1:].flatten())
    assert score(net) == pytest.approx(float(expected), rel=1e-5)
    assert (score.name, score.higher_is_better) == ("cross_entropy", False)
    assert len(next(iter(score.samples(net)))) == 3


def test_the_score_without_a_state_is_that_of_each_window_from_nothing() -> None:
    recipe = parse_recipe(WINDOWS)
    net = network.build_network(recipe).eval()
    score = build_task(recipe, make_text(), net).score("test")
    with torch.no_grad():
        losses = [
            float(nn.functional.cross_entropy(net(window[:-1].unsqueeze(1)).flatten(0, 1), window[1:]))
            for window in make_text().test.unfold(0, 6, 5)
        ]
    assert score.name == "test_cross_entropy"
    assert torch.cat(list(score.samples(net))).tolist() == pytest.approx(losses, rel=1e-5)


class Fixed(nn.Module):
    """Gives the same logits whatever it reads."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_loss_per_token_keeps_windows_apart_in_either_layout() -> None:
    logits_BTV = torch.randn(3, 5, 4)
    targets_BT = torch.randint(0, 4, (3, 5))
    expected = torch.stack([nn.functional.cross_entropy(*pair) for pair in zip(logits_BTV, targets_BT, strict=True)])
    for is_time_first in (False, True):
        net = Fixed(logits_BTV.transpose(0, 1) if is_time_first else logits_BTV)
        found = TokenLoss(Reading(is_time_first=is_time_first, state_shape=None))(net, (targets_BT, targets_BT))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("text", [TEXT, WINDOWS, TRANSFORMER], ids=["carried", "windows", "transformer"])
def test_calibration_and_compared_inputs_are_what_the_network_takes(text: str) -> None:
    recipe = parse_recipe(text)
    net = network.build_network(recipe).eval()
    task = build_task(recipe, make_text(), net)
    together, alone = task.compared_inputs()
    sizes = [inputs.args[0].shape for inputs in (together, alone)]
    assert sizes == ([(5, 8), (5, 1)] if text != TRANSFORMER else [(8, 5), (1, 5)])
    for args in (together.args, alone.args, *task.calibration_batches()):
        net(*args)
    if text == TEXT:
        assert bool((together.args[1][0] > 0).all())
    total = sum(args[0].numel() for args in task.calibration_batches())
    assert total == 160 * 5


@pytest.mark.slow  # Traces networks.
def test_an_elastic_model_of_a_recipe_carries_its_state() -> None:
    model = build_elastic(parse_recipe(TEXT))
    assert model.groups.sizes == {"embedding": 16, "lstm": 16}
    assert model.input_batch_axes == (1, 1, 1)
    assert build_elastic(parse_recipe(WINDOWS)).input_batch_axes == (1,)


def test_a_limit_cuts_a_text_to_so_many_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "load_text", lambda *_: make_text())
    splits = load_splits(parse_recipe(TEXT, overrides=["limit=20"]))
    assert isinstance(splits, TextSplits)
    assert torch.equal(splits.train, make_tokens(801, 0)[:101])
    assert (len(splits.validation), len(splits.test)) == (101, 101)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["vocabulary=5"],
            (
                "recipe verse: expected a network with the 4 tokens of the text 'shakespeare', got one with 5; set "
                "model.settings.vocabulary=4"
            ),
        ),
        (
            ["batch_size=200"],
            (
                "recipe verse: expected a text of at least 1200 tokens for windows of 5 (data.input_shape) in batches "
                "of 200, got 801; lower training.batch_size or data.input_shape"
            ),
        ),
    ],
)
def test_a_text_that_does_not_fit_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        make_task(TEXT, *overrides)


def test_a_split_shorter_than_a_window_is_an_error() -> None:
    text = make_text()
    short = TextSplits(
        name="a", train=text.train, validation=text.validation[:4], test=text.test, vocabulary=("a",) * 4
    )
    with pytest.raises(DataError, match="needs 6 tokens, got 4"):
        make_task(TEXT, splits=short).score()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.name=mnist"],
            (
                "recipe verse: expected data of a text for the network 'lstm_lm', got 'mnist', samples with labels; "
                "change data.name or model.name"
            ),
        ),
        (
            ["input_shape=[5, 3]"],
            (
                "recipe verse: expected data.input_shape to be the tokens of a window, such as [35], got [5, 3]; give "
                "one number"
            ),
        ),
    ],
)
def test_data_that_a_language_model_cannot_read_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        build_elastic(parse_recipe(TEXT, overrides=overrides))


def test_a_language_task_is_one() -> None:
    assert isinstance(make_task(TRANSFORMER), Language)
