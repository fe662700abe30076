import sympy
from torch import fx

from widthwise.graph import Atom, Formula, Frozen, Product, Sum
from widthwise.slicing.running.table import SizeTable, has_atoms

A, B = Atom(1, 4), Atom(2, 3)


def make_table() -> tuple[SizeTable, fx.Graph]:
    graph = fx.Graph()
    table = SizeTable(graph)
    graph.output(table.sizes)
    return table, graph


def test_the_table_is_the_first_placeholder() -> None:
    table, graph = make_table()
    assert next(iter(graph.nodes)) is table.sizes


def test_each_term_is_read_once() -> None:
    table, graph = make_table()
    first = table.read(A, 4)
    again = table.read((None, A, Product((A, Frozen(2, "kernel"))), A), [7, 4, 8, 4])
    assert again == [7, first, again[2], first]
    assert table.terms == [A, Product((A, Frozen(2, "kernel")))]
    assert [node.args[1] for node in graph.nodes if node.op == "call_function"] == [1, 0]


def test_what_no_width_changes_is_written_out() -> None:
    table, _ = make_table()
    assert table.read(Frozen(5, "kernel"), 7) == 5
    assert table.read(None, "as traced") == "as traced"
    assert table.read((None, Frozen(5, "kernel")), None) == [None, 5]
    assert table.terms == []


def test_an_axis_of_dynamic_size_is_left_to_the_reshape() -> None:
    table, _ = make_table()
    assert table.read(Product((Frozen(sympy.Symbol("s"), "batch"), A)), 12) == -1
    assert table.read(Frozen(sympy.Symbol("s"), "batch"), "traced node") == "traced node"


def test_numbers_stand_beside_sizes_and_are_read_once() -> None:
    table, _ = make_table()
    n = sympy.Symbol("n", integer=True, positive=True)
    half = Formula(expression=n / 2, terms=((n, A),), full=2)
    size, number = table.read(A, 4), table.read_number(half)
    assert table.read_number(half) is number
    assert (size.args[1], number.args[1]) == (0, 1)
    assert table.fill({}) == (4, 2)
    assert table.fill({1: 3}) == (3, 1.5)


def test_terms_with_atoms_depend_on_widths() -> None:
    assert has_atoms(Sum((Frozen(2, "kernel"), Product((Frozen(2, "kernel"), A)))))
    assert not has_atoms(Product((Frozen(2, "kernel"), Frozen(3, "kernel"))))
