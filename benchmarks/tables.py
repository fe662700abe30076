"""Write docs/benchmarks.md, docs/models.md, and the marked blocks of other pages, from the result files alone.

    python -m benchmarks.tables

A block is `<!-- results:NAME -->`, whatever stands there, and `<!-- end -->`; NAME is a table's below.
"""

import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.coverage.tables import brief_coverage, draw_comparison, draw_models
from benchmarks.curve.sections import SECTIONS
from benchmarks.elastic.peers import result_path
from benchmarks.elastic.peers_table import brief_peers, draw_peers
from benchmarks.elastic.tasks import TASKS
from benchmarks.markdown import describe_source
from benchmarks.recipes.tables import brief_recipes, draw_recipes
from benchmarks.record import ROOT, Record
from benchmarks.speed.step_table import brief_step, brief_step_gpu, draw_step, draw_step_gpu
from benchmarks.speed.tables import (
    brief_demo,
    brief_extracted,
    brief_wrapped,
    draw_demo,
    draw_extracted,
    draw_wrapped,
)
from benchmarks.table import Table
from widthwise._shared import RunError, write_text

__all__ = [
    "MODELS_PAGE",
    "PAGE",
    "README",
    "STATISTICS",
    "TABLES",
    "Table",
    "fill_blocks",
    "main",
    "make_models_page",
    "make_page",
]

PAGE = ROOT / "docs/benchmarks.md"
MODELS_PAGE = ROOT / "docs/models.md"
README = ROOT / "README.md"
STATISTICS = ROOT / "docs/statistics.md"
_BLOCK = re.compile(r"(?P<mark><!-- results:(?P<name>\S+) -->\n).*?(?P<end>^<!-- end -->$)", re.MULTILINE | re.DOTALL)


_PEERS = (
    "Each law was trained once, one seed: for as many epochs as cost what the plain training does, and for as many as "
    "that has; as published, and from 1/32 on. What is lost is against a network trained alone at that width. The mean "
    "of all widths is that of the whole curve from 1/32 on, its largest fall that from one width to the next wider. "
    "Costs: forward multiply-accumulates, those of BatchNorm's statistics at each width among them; what the widths of "
    "one step have in common is run, and counted, once. Each network trained alone has the best of two learning rates, "
    "by the validation split. `mrl` is trained to cut what the last layer reads and scored like all others. "
    "`triangular` has a width for each sample, so that BatchNorm sees few samples of each. The learning rate is that "
    "of ours for all but `paper`, which has its own."
)
_CONFIRMED = (
    "At equal multiply-accumulates from 1/32 on: ours (`octaves`, the default), `paper`, and the best of the others, "
    "as in the table before. Mean and standard deviation over the seeds."
)
TABLES = (
    *(
        Table(
            name=f"peers_{name}{'' if tier == 'screen' else '_confirm'}",
            title=f"Every law beside every other: {task.title}{'' if tier == 'screen' else ', three seeds'}",
            words=f"{task.title}: {task.words}. {_PEERS if tier == 'screen' else _CONFIRMED}",
            results=str(result_path(name, tier).relative_to(ROOT)),
            command=f"python -m benchmarks.elastic.peers --data DIR --task {name} --tier {tier}",
            draw=draw_peers,
            brief=brief_peers,
        )
        for name, task in TASKS.items()
        for tier in ("screen", "confirm")
    ),
    Table(
        name="step",
        title="A training step",
        words=(
            "An elastic step against the plain one: gradients cleared, forward, loss, backward, optimiser. MLP W is "
            "784-W-W-10 at batch 256; ViT of width 96 and depth 4 on 3x32x32 at batch 64; ResidualConvNet 32-48-96 "
            "with a stem of stride 2 on 3x32x32 at batch 128, channels last. `octaves`, the default law, draws one "
            "width per step, so that its steps are of very unequal length; `log-uniform` has 4 chunks. Both are timed "
            "at 24 draws that stand for all, each from the middle of an equal share of the law: chance has no part in "
            "it. Times are means over these draws, of each the median; ratios are of these means, and medians over the "
            "seeds (smallest to largest). Plain and elastic take turns in one process. MACs: forward multiply-"
            "accumulates in units of the plain step's, at the draws that were timed and in the mean of the whole law. "
            "The processor's time is that of all threads: a witness, since the machine may be shared."
        ),
        results="benchmarks/speed/results/step.json",
        command="python -m benchmarks.speed.step",
        draw=draw_step,
        brief=brief_step,
    ),
    Table(
        name="step_gpu",
        title="A training step on a GPU",
        words=(
            "The same on a GPU, in float32 as PyTorch sets it, the GPU waited for before and after each step: MLP "
            "784-4096-4096-10 at batch 1024; on 3x224x224 at batch 64, ViT-S/16 with the mean of its patches, and "
            "ResNet-18 with a stem of 3x3 without pooling. Compiled, the laws keep to the octaves of width. Memory: "
            "the most that network, optimiser and a step take, in units of 1,000,000 bytes."
        ),
        results="benchmarks/speed/results/step_gpu.json",
        command="python -m benchmarks.speed.step --device cuda",
        draw=draw_step_gpu,
        brief=brief_step_gpu,
    ),
    Table(
        name="wrapped",
        title="What wrapping costs",
        words=(
            "`Elastic` at full width in evaluation mode against the bare network that it holds, the networks those of "
            "the training steps. Both take turns in one process, eager, in inference mode, on one thread; a ratio is "
            "the median over the turns, then over the seeds (smallest to largest). What is added is the call of one "
            "module more, whatever the network: the last column is the same network in an `nn.Sequential` of its own."
        ),
        results="benchmarks/speed/results/wrapped.json",
        command="python -m benchmarks.speed.wrapped",
        draw=draw_wrapped,
        brief=brief_wrapped,
    ),
    Table(
        name="extracted",
        title="An extracted network against one built by hand",
        words=(
            "MLP 784-1024-1024-10 and ResidualConvNet 16-24-48 on 3x32x32, extracted at a width, against the "
            "same network built at that size with the same weights. Both take turns in one process, eager, in "
            "inference mode. Bytes: of the exported `.safetensors` file, more than that of the network built by"
            " hand."
        ),
        results="benchmarks/speed/results/extracted.json",
        command="python -m benchmarks.speed.extracted",
        draw=draw_extracted,
        brief=brief_extracted,
    ),
    Table(
        name="demo",
        title="The demo",
        words="`widthwise demo` after installation: train on the digits, draw the curve, pick, export, verify.",
        results="benchmarks/speed/results/demo.json",
        command="python -m benchmarks.speed.demo",
        draw=draw_demo,
        brief=brief_demo,
    ),
    *SECTIONS,
    Table(
        name="recipes",
        title="The recipes",
        words="Each recipe of the package, trained once: minutes on one thread, and test accuracy in % by width.",
        results="benchmarks/recipes/results/recipes.json",
        command="python -m benchmarks.recipes.measure --data DIR",
        draw=draw_recipes,
        brief=brief_recipes,
    ),
    Table(
        name="coverage",
        title="Networks that nobody here wrote",
        words=(
            "Networks at random initial values, traced with `stream=True`, and the same ones through Torch-Pruning in "
            "its standard use, each in a process of its own for at most 120 s of processor time. A network passes with "
            "Torch-Pruning if something shrank and it runs afterwards with outputs of the old shapes; what passing "
            "means for widthwise, and every network by name, is in [Which models work](models.md)."
        ),
        results="benchmarks/coverage/results/coverage.json",
        command="python -m benchmarks.coverage.measure",
        draw=draw_comparison,
        brief=brief_coverage,
    ),
)
COVERAGE = TABLES[-1]

_INTRODUCTION = """# Benchmarks

Made from the result files by `make tables`; do not edit. Tiers: *screen* is one seed and a shortened schedule,
*confirm* three seeds, *full* the whole command. To measure on your own machine: move the result files away, then
`make benchmarks DATA=...`, where `DATA` is the folder with MNIST.
"""

_MODELS = """# Which models work

Made from the result file by `make tables`; do not edit. `make coverage` measures on your own machine; move the result
file away first.

Each network is built at random initial values with what its package offers, traced with two samples and `stream=True`,
and extracted at one half and at widths drawn at random for each group. It passes if

- at least 90 % of its parameters *can shrink*: they have an axis in a width group. Parameters of which every axis is an
  input, an output, a vocabulary or the window of a convolution are not counted;
- extract runs at both widths, gives outputs of the shapes as before, and they agree with those of the views to 1e-5 of
  the largest entry;
- at one half at most 35 % of its parameters are left, and the share that keeps its size: parameters in no group, and
  half of those that have an input, an output or a vocabulary as another axis, since they halve where others quarter;
- `verify` finds no fault. Networks of more than 300 million parameters are traced without numbers, and verified with.

*Form* is that of the network at one half: its own class, or a graph. Times are of the processor, on one thread; *ours*
is the whole of `ww.Elastic(net, inputs)`. The last column is the share of all parameters that belong to one that shrank
in Torch-Pruning.
"""


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    write_text(PAGE, make_page(ROOT, TABLES))
    write_text(MODELS_PAGE, make_models_page(ROOT, COVERAGE))
    blocks = (README, STATISTICS)
    for page in blocks:
        write_text(page, fill_blocks(page.read_text(encoding="utf-8"), ROOT, TABLES))
    pages, filled = (", ".join(str(page.relative_to(ROOT)) for page in some) for some in ((PAGE, MODELS_PAGE), blocks))
    print(f"{pages} and the blocks of {filled} are up to date")


def make_page(root: Path, tables: Sequence[Table]) -> str:
    """Return the page, with a section for each table."""
    return _INTRODUCTION + "".join(
        f"\n## {table.title}\n\n{textwrap.fill(table.words, 120)}\n\n{_render(root, table, table.draw)}\n"
        for table in tables
    )


def make_models_page(root: Path, table: Table) -> str:
    """Return the page with every network by name."""
    return f"{_MODELS}\n{_render(root, table, draw_models)}\n"


def fill_blocks(text: str, root: Path, tables: Sequence[Table]) -> str:
    """Return the text with the brief form of the named tables in its marked blocks.

    Raises:
        RunError: A block names no table, or has no end.
    """
    named = {table.name: table for table in tables}
    names = [match["name"] for match in _BLOCK.finditer(text)]
    unknown = [name for name in names if name not in named]
    if unknown:
        raise RunError(f"expected blocks named {', '.join(named)}, got {unknown[0]}; mend that mark")
    if len(names) != text.count("<!-- results:"):
        raise RunError("expected an end for each block of results, got one without; write <!-- end --> after it")

    def fill(match: re.Match[str]) -> str:
        table = named[match["name"]]
        return f"{match['mark']}{_render(root, table, table.brief)}\n{match['end']}"

    return _BLOCK.sub(fill, text)


def _render(root: Path, table: Table, draw: Callable[[Record], str]) -> str:
    path = root / table.results
    if not path.exists():
        return f"Not run yet: `{table.command}`."
    record = Record.read(path)
    return f"{draw(record)}\n\n*{describe_source(record, table.results)}*"


if __name__ == "__main__":
    main()
