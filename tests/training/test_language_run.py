"""Runs of language models: they learn, and go on bit-equal after an interrupt."""

from pathlib import Path

import pytest
import torch

from tests.training.test_loop import assert_same_weights, before_step, interrupt, metrics_of
from tests.training.texts import TEXT, TRANSFORMER, WINDOWS, make_text
from widthwise.training import network, parse_recipe, train
from widthwise.zoo import LSTMLanguageModel, TransformerLanguageModel


@pytest.fixture(autouse=True)
def _text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "load_text", lambda *_: make_text())


@pytest.mark.slow
@pytest.mark.parametrize("text", [TEXT, WINDOWS, TRANSFORMER], ids=["carried", "windows", "transformer"])
def test_a_resumed_training_of_a_language_model_is_bit_equal(text: str, tmp_path: Path) -> None:
    recipe = parse_recipe(text)
    expected = train(recipe, tmp_path / "whole")
    with before_step(3, 2, interrupt), pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts")
    found = train(recipe, tmp_path / "parts")
    assert_same_weights(found, expected)
    assert metrics_of(found) == metrics_of(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [[], ["method=plain"], ["elastic.sandwich=3"], ["elastic.law=us_nets"], ["precision=bfloat16"]],
    ids=["split", "plain", "stack", "distilled", "bfloat16"],
)
def test_a_language_model_that_carries_its_state_learns(overrides: list[str], tmp_path: Path) -> None:
    run = train(parse_recipe(TEXT, overrides=overrides), tmp_path)
    last = run.read_metrics()[-1]
    # A fourth word in twenty costs 0.2 nats and some more for what follows it; four even ones cost 1.39.
    assert float(str(last["cross_entropy"])) < 0.6
    assert ("cross_entropy_lowest" in last) == (overrides != ["method=plain"])
    model = run.load_model()
    score = network.build_task(run.recipe, run.load_data(), model.net).score()
    assert score(model) == pytest.approx(float(str(last["cross_entropy"])), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "kind"), [(WINDOWS, LSTMLanguageModel), (TRANSFORMER, TransformerLanguageModel)])
def test_networks_without_a_state_are_taken_home_as_their_own_class(
    text: str, kind: type[torch.nn.Module], tmp_path: Path
) -> None:
    model = train(parse_recipe(text), tmp_path, smoke=True).load_model()
    assert isinstance(model.extract(0.5), kind)
