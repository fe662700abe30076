from benchmarks.curve.pick_tables import brief_coverage, brief_mnist, draw_coverage, draw_mnist
from benchmarks.record import Record
from tests.benchmarks.samples import make_record

PICKED = {"picked": "64 256 45 32", "violated": "0 0 0 1", "num_samples": "9000 1200 20000 12000"}
FULL = {"picked": "256 256 256 256", "violated": "0 0 0 0", "num_samples": "0 0 0 0"}
CHOICES = {"pick": PICKED, "always full": FULL}


def coverage_record(**changes: str) -> Record:
    rivals = {"t-tests": {**FULL, "violated": "1 0 0 0"}, "stored numbers": {**FULL, "violated": "1 1 1 0"}}
    choices = {"pick": {**PICKED, **changes}, **rivals, "always full": FULL}
    result: dict[str, object] = {"smallest": "32 256 32 64", "choices": choices}
    return make_record("curve/coverage", [({"shape": shape}, result) for shape in ("steep", "wavy")], seeds=(0,))


def mnist_record() -> Record:
    result: dict[str, object] = {
        "smallest": 32,
        "smallest_rung": 38,
        "drops": {"256": 0.0, "38": 0.0089, "32": 0.012},
        "choices": CHOICES,
    }
    return make_record("curve/pick_mnist", [({"kind": kind}, result) for kind in ("resampled", "reordered")])


def test_ways_to_choose_are_pooled_over_the_kinds_of_curves() -> None:
    page = draw_coverage(coverage_record())
    # One in four, twice; two octaves too wide at most, and one too narrow.
    assert "| `ww.pick`, accuracy | 25.0 (7.1 to 59.1) | 12,000 | 20,000 | 13 | 0.12 | 25 |" in page
    assert "| always full width | 0.0 (0.0 to 32.4) | - | - | 224 | 2.00 | 100 |" in page
    assert "| wavy | 25.0 (4.6 to 69.9) | 12,000 | 20,000 | 13 | 0.12 | 25 | 25.0 | 75.0 |" in page
    assert page.endswith("Missed by: 25.0 % broken.")
    assert draw_coverage(coverage_record(violated="0 0 0 0")).endswith("Met; the most samples were 20,000.")
    assert "Missed by: 30,001 samples." in draw_coverage(coverage_record(violated="0 0 0 0", num_samples="1 2 3 30001"))
    assert page.startswith(brief_coverage(coverage_record()))


def test_a_trained_network_is_told_with_its_true_drops() -> None:
    page = draw_mnist(mnist_record())
    assert page.startswith(
        "True drops in points by units: 256: 0.00, 38: 0.89, 32: 1.20. The fewest units that keep to one point are 32, "
        "of the widths that `pick` tries 38."
    )
    assert "Samples resampled:\n\n| way to choose |" in page
    assert "Samples reordered:\n\n| way to choose |" in page
    assert brief_mnist(mnist_record()) in page
