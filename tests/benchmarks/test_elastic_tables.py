from dataclasses import replace

from benchmarks.elastic.tables import brief_mnist_mlp, draw_mnist_mlp
from tests.benchmarks.samples import make_mnist_record


def test_accuracies_are_means_with_their_deviation() -> None:
    page = draw_mnist_mlp(make_mnist_record())
    assert "| ours | 90.70 ± 1.00 | 90.70 ± 1.00 | 0.98 |" in page


def test_networks_trained_alone_cost_their_sum() -> None:
    page = draw_mnist_mlp(make_mnist_record())
    # 784 w + w^2 + 10 w is 268,800 at 256 units and 6,416 at 8.
    assert "| alone | 91.00 ± 1.00 | 91.00 ± 1.00 | 1.02 for all |" in page
    assert "| alone, as many epochs as ours | 92.00 ± 1.00 | 92.00 ± 1.00 | 2.30 for all |" in page


def test_points_lost_stand_against_both_and_the_goal() -> None:
    lines = draw_mnist_mlp(make_mnist_record()).splitlines()
    assert "| alone, minus ours | +0.30 | +0.30 |" in lines
    assert "| alone, as many epochs as ours, minus ours | +1.30 | +1.30 |" in lines
    assert "| goal for the first of these | 0.4 | 3.5 |" in lines
    assert "Goal met at every width." in lines
    assert "Learning rates: alone 0.003, ours 0.005." in lines


def test_a_missed_goal_is_told() -> None:
    assert "Goal missed at width 256 (+0.50)." in draw_mnist_mlp(make_mnist_record(lost=0.5))


def test_an_unfinished_record_says_so() -> None:
    record = make_mnist_record()
    part = replace(record, cells=[cell for cell in record.cells if cell.key.get("width") != 8])
    page = draw_mnist_mlp(part)
    assert "| alone | 91.00 ± 1.00 | - | - |" in page
    assert "| alone, minus ours | +0.30 | - |" in page
    assert "Not all widths have been measured yet." in page


def test_the_brief_table_leaves_out_what_was_not_measured() -> None:
    assert brief_mnist_mlp(make_mnist_record()).splitlines() == [
        "| MNIST test accuracy, % at width | 256 | 8 |",
        "| :-- | --: | --: |",
        "| alone | 91.00 | 91.00 |",
        "| ours | 90.70 | 90.70 |",
        "| plain, then cut | 21.00 | 21.00 |",
    ]
