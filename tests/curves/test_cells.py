from widthwise.curves import align_cells, join_cells


def test_columns_are_aligned_to_the_right() -> None:
    text = align_cells([["width", "MACs"], ["0.5", "12"], ["0.03125", "3"]])

    assert text == "  width  MACs\n    0.5    12\n0.03125     3"


def test_several_tables_are_one_of_the_columns_that_they_share() -> None:
    tables = {
        "ours": [["width", "accuracy %", "kB"], ["1", "90.00", "8.0"]],
        "theirs": [["width", "accuracy %", "loss", "kB"], ["1", "80.00", "1.0", "7.0"], ["0.5", "70.00", "2.0", "3.0"]],
    }

    assert join_cells(tables) == [
        ["run", "width", "accuracy %", "kB"],
        ["ours", "1", "90.00", "8.0"],
        ["theirs", "1", "80.00", "7.0"],
        ["theirs", "0.5", "70.00", "3.0"],
    ]
