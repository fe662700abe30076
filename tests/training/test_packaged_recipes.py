"""Every recipe of the package on the first samples of its data: trained, cut, scored and exported."""

from pathlib import Path

import pytest

from widthwise.elastic import export
from widthwise.measure import count_parameters
from widthwise.training import build_elastic, build_task, list_recipes, load_recipe, train

# Of their full names, what they are elastic in, and what one sample costs.
_MACS = {
    "cifar-resnet": 9_535_968,
    "cifar-vit": 47_481_792,
    "shrec-pointnet": 80_056_064,
    "ptb-lstm": 92_400_000,
    "ptb-transformer": 136_445_952,
}


@pytest.mark.slow  # Trace networks of full size.
@pytest.mark.parametrize("name", _MACS)
def test_a_sample_costs_what_is_said(name: str) -> None:
    assert build_elastic(load_recipe(name)).macs() == _MACS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", list_recipes())
def test_a_smoke_run_of_each_recipe_gives_a_network_that_can_be_scored_and_exported(
    name: str,
    tmp_path: Path,
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # Decoded pictures are kept there, for the next recipe on the same data.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    recipe = load_recipe(name, ["limit=64"])
    folder = None if recipe.data.name == "digits" else data_folder
    run = train(recipe, tmp_path, data_folder=folder, smoke=True)
    assert run.state.status == "finished"
    model = run.load_model()
    task = build_task(run.recipe, run.load_data(), model.net)
    small = model.extract(0.5, calibrate=task.calibration_batches())
    assert count_parameters(small) < count_parameters(model.net)
    score = task.score("test")
    assert 0 <= score(small) <= (1 if score.higher_is_better else 12)
    file = export(model, 0.5, tmp_path / "a.onnx", calibrate=task.calibration_batches(), inputs=task.compared_inputs())
    assert file.max_difference < 1e-4
