"""Sweeps with several scores, with errors, with adaptive widths, and on a full disk."""

import errno
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.curves.evaluations import BATCH, first_output
from tests.curves.stand_in import StandIn
from widthwise._shared import CurveError
from widthwise.curves import Curve, Score, curve
from widthwise.curves.grid import Candidate
from widthwise.curves.plan import Scorer
from widthwise.curves.uncertainty import standard_error

# Several scores


IMAGES = torch.rand(10, 3, generator=torch.Generator().manual_seed(5))
CLASSES = torch.arange(20) % 3


def perplexity(net: nn.Module) -> float:
    with torch.no_grad():
        return float(nn.functional.cross_entropy(net(BATCH), CLASSES).exp())


def psnr(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return -10 * (net(batch[0]) - batch[1]).square().mean(dim=1).log10()


def mean_iou(net: nn.Module) -> float:
    with torch.no_grad():
        chosen = net(BATCH).argmax(dim=1)
    unions = [float(((chosen == c) | (CLASSES.eq(c))).sum()) for c in range(3)]
    return sum(float(((chosen == c) & (CLASSES.eq(c))).sum()) / unions[c] for c in range(3)) / 3


def test_each_of_several_scores_keeps_its_own_direction(model: StandIn, tmp_path: Path) -> None:
    found = curve(
        model,
        perplexity,
        name="perplexity",
        lower_is_better=["perplexity"],
        widths=[1.0, 0.5],
        latency=False,
        extra_scores={"mIoU": mean_iou, "PSNR": Score(psnr, [(BATCH[:10], IMAGES)], name="PSNR")},
        path=tmp_path / "curve.json",
    )

    assert (found.name, found.higher_is_better) == ("perplexity", False)
    assert found.directions == {"perplexity": False, "mIoU": True, "PSNR": True}
    assert Curve.load(tmp_path / "curve.json") == found
    best = min(found, key=lambda point: point.score)
    assert found.pick(max_params=10**9) == best
    assert best.scores["mIoU"] == mean_iou(model.extract(best))


def test_directions_of_scores_that_are_not_asked_for_again_stay(model: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    extra = {"size": lambda _net: 1.0}
    curve(model, first_output, widths=[0.5], latency=False, path=path, extra_scores=extra, lower_is_better=["size"])
    again = curve(model, first_output, widths=[0.25], latency=False, path=path)

    assert again.directions == {"score": True, "size": False}


def test_a_name_beside_a_score_is_refused(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, Score(psnr, [(BATCH[:10], IMAGES)], name="PSNR"), latency=False, name="dB")
    assert str(caught.value) == "expected the name of a Score to be its own, 'PSNR', got 'dB'; leave out name"


# Errors


def test_a_score_stores_its_error_and_that_of_the_paired_difference(model: StandIn) -> None:
    score = Score(psnr, [(BATCH[:4], IMAGES[:4]), (BATCH[4:10], IMAGES[4:10])], name="PSNR")
    found = curve(model, score, widths=[0.5, 1.0, 0.25], latency=False, extra_scores={"sum": first_output})
    full = score.all_samples(model.extract(1.0))

    for point in found:
        own = score.all_samples(model.extract(point))
        assert point.errors == {"PSNR": standard_error(own)}
        assert point.drop_errors == {"PSNR": standard_error(full - own)}
    assert found.full is not None
    assert found.full.drop_errors == {"PSNR": 0.0}


def test_points_that_are_done_before_full_width_wait_for_it(
    model: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = Score(psnr, [(BATCH[:10], IMAGES)], name="PSNR")
    found = curve(model, score, widths=[1.0, 0.5, 0.25], latency=False, fingerprint="x")
    in_order = Scorer.score

    def last_first(self: Scorer, candidates: list[Candidate], repeated: Candidate | None) -> Iterator[Any]:
        yield from reversed(list(in_order(self, candidates, repeated)))

    monkeypatch.setattr(Scorer, "score", last_first)
    path = tmp_path / "curve.json"
    assert curve(model, score, widths=[1.0, 0.5, 0.25], latency=False, fingerprint="x", path=path) == found
    assert Curve.load(path) == found


def test_without_full_width_there_is_no_paired_error(model: StandIn) -> None:
    point = curve(model, Score(psnr, [(BATCH[:10], IMAGES)]), widths=[0.5], latency=False).points[0]

    assert point.errors
    assert point.drop_errors == {}


def test_full_width_from_the_file_is_scored_once_more_for_the_pairs(model: StandIn, tmp_path: Path) -> None:
    score, path = Score(psnr, [(BATCH[:10], IMAGES)]), tmp_path / "curve.json"
    whole = curve(model, score, widths=[1.0, 0.5, 0.25], latency=False)
    curve(model, score, widths=[1.0], latency=False, path=path)
    model.calls.clear()

    assert curve(model, score, widths=[1.0, 0.5, 0.25], latency=False, path=path) == replace(
        whole, fingerprint=Curve.load(path).fingerprint
    )
    assert [units["fc1"] for units in model.calls] == [32, 8, 16]
    model.calls.clear()
    curve(model, score, widths=[1.0, 0.5], latency=False, path=path)
    assert model.calls == []


# Noise


def test_a_score_that_draws_is_refused_after_full_width_and_the_narrowest(model: StandIn, tmp_path: Path) -> None:
    generator, asked = torch.Generator().manual_seed(0), list[int]()

    def draw(net: nn.Module) -> float:
        asked.append(net[0].out_features)
        return float(torch.rand((), generator=generator))

    with pytest.raises(CurveError, match=r"got 0\.\d+ and 0\.\d+ at width 0\.25; seed what it draws"):
        curve(model, draw, widths=[0.5, 0.25, 1.0], latency=False, path=tmp_path / "curve.json")
    assert asked == [32, 8, 8]

    assert len(curve(model, draw, widths=[0.5, 0.25, 1.0], latency=False, is_noisy=True)) == 3


def test_an_evaluation_that_changes_the_network_is_not_noise(model: StandIn) -> None:
    def count_layers(net: nn.Module) -> float:
        net.append(nn.ReLU())
        return float(len(net))

    assert [point.score for point in curve(model, count_layers, widths=[0.5], latency=False)] == [6.0]


# Adaptive widths


def bent(net: nn.Module) -> float:
    """Flat down to eight units, then steep."""
    return min(1.0, net[0].out_features / 8)


def test_adaptive_widths_are_octaves_and_then_where_the_curve_bends(model: StandIn) -> None:
    model.law.lowest = 1 / 32
    found = curve(model, bent, widths="adaptive", max_points=10, latency=False)
    units = [point.widths["fc1"] for point in found]

    assert {1, 2, 4, 8, 16, 32} <= set(units)
    assert 6 < len(units) <= 10
    assert set(units) - {1, 2, 4, 8, 16, 32} <= set(range(3, 16))


def test_an_interrupted_adaptive_sweep_ends_as_one_that_was_not(model: StandIn, tmp_path: Path) -> None:
    model.law.lowest = 1 / 32
    whole = curve(model, bent, widths="adaptive", latency=False, fingerprint="x")
    for most in range(1, len(whole)):
        path, left = tmp_path / f"{most}.json", most

        def stop(net: nn.Module) -> float:
            nonlocal left
            left -= 1
            return bent(net) if left >= 0 else math.nan

        with pytest.raises(CurveError):
            curve(model, stop, widths="adaptive", latency=False, path=path, fingerprint="x", is_noisy=True)
        model.calls.clear()
        again = curve(model, bent, widths="adaptive", latency=False, path=path, fingerprint="x")
        assert again == whole
        assert len(model.calls) == len(whole) - most


def test_other_points_in_the_file_do_not_change_which_way_it_goes(model: StandIn, tmp_path: Path) -> None:
    model.law.lowest = 1 / 32
    path = tmp_path / "curve.json"
    settings: dict[str, Any] = {"latency": False, "fingerprint": "x"}
    alone = curve(model, bent, widths="adaptive", max_points=8, **settings)
    curve(model, bent, widths=[0.7, 0.2, 0.15, 0.1], path=path, **settings)
    beside = curve(model, bent, widths="adaptive", max_points=8, path=path, **settings)

    units = [{point.widths["fc1"] for point in found} for found in (alone, beside)]
    assert len(alone) == 8
    assert units[1] == units[0] | {22, 6, 5, 3}


@pytest.mark.parametrize("extra", [{"max_points": 5}, {"tolerance": 0.1}])
def test_settings_of_adaptive_widths_beside_fixed_ones_are_refused(model: StandIn, extra: dict[str, Any]) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, first_output, widths=[0.5], latency=False, **extra)
    assert str(caught.value) == (
        "expected max_points and tolerance beside adaptive widths alone, got them for widths that are fixed; "
        'ask for widths="adaptive", or leave them out'
    )


def test_a_word_that_is_no_width_is_refused(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, first_output, widths="halves", latency=False)  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "expected widths, \"adaptive\" or None, got 'halves'; give a list such as [1.0, 0.5, 0.25]"
    )


@pytest.mark.parametrize("processes", [0, -1, 1.5, True])
def test_a_number_of_processes_that_is_none_is_refused(model: StandIn, processes: int) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, first_output, latency=False, processes=processes)
    assert str(caught.value) == (
        f"expected processes to be an integer of at least 1, got {processes!r}; give such a number"
    )


# A full disk


def test_a_full_disk_ends_a_sweep_in_one_line_and_keeps_what_is_there(
    model: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write_bytes, written = tmp_path / "curve.json", Path.write_bytes, list[Path]()

    def write_two(target: Path, content: bytes) -> int:
        written.append(target)
        if len(written) > 2:
            write_bytes(target, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(target, content)

    monkeypatch.setattr(Path, "write_bytes", write_two)
    with pytest.raises(CurveError) as caught:
        curve(model, first_output, widths=[1.0, 0.5, 0.25], latency=False, path=path)

    assert str(caught.value) == (
        f"expected to be able to write {path}, got: No space left on device; free some space, or give another path"
    )
    assert len(Curve.load(path)) == 2
    assert list(tmp_path.iterdir()) == [path]
