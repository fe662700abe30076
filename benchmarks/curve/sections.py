"""The sections of curves, picks, searches and files on the page of benchmarks."""

from benchmarks.curve.extracted_table import brief_runtimes, draw_runtimes
from benchmarks.curve.one_file import RESULTS as ONE_FILE
from benchmarks.curve.one_file_table import brief_one_file, draw_latency, draw_one_file
from benchmarks.curve.pick_tables import brief_coverage as brief_picks
from benchmarks.curve.pick_tables import brief_mnist as brief_pick_mnist
from benchmarks.curve.pick_tables import draw_coverage as draw_picks
from benchmarks.curve.pick_tables import draw_mnist as draw_pick_mnist
from benchmarks.curve.pruned import PRUNED_TASKS
from benchmarks.curve.pruned import result_path as pruned_path
from benchmarks.curve.pruned_table import draw_pruned
from benchmarks.curve.quantised import NETWORKS as QUANTISED
from benchmarks.curve.quantised import result_path as quantised_path
from benchmarks.curve.quantised_table import brief_quantised, draw_quantised
from benchmarks.curve.search import SEARCHED
from benchmarks.curve.search import result_path as search_path
from benchmarks.curve.search_table import draw_search
from benchmarks.curve.switching import RESULTS as SWITCHING
from benchmarks.curve.switching_table import draw_switching
from benchmarks.elastic.tasks import TASKS
from benchmarks.record import ROOT
from benchmarks.table import Table

__all__ = ["SECTIONS"]

SECTIONS: tuple[Table, ...] = (
    Table(
        name="pick_coverage",
        title="A choice by evidence: how often its promise is broken",
        words=(
            "1,000 curves of eight kinds whose true drops are known, 10,000 samples of each, a drop of one point and a "
            "confidence of 0.95. Outcomes of two widths agree the more, the nearer the widths are. Every way of "
            "choosing sees the same samples, and chooses among quarter octaves from 256 units down to 8; the fewest "
            "units that keep to the limit are found among all 249 widths. The loss adds to each sample of a narrower "
            "network a log-normal number with the true drop as its mean. Samples are forward passes, those of the full "
            "network among them. How it works: [the statistics](statistics.md)."
        ),
        results="benchmarks/curve/results/coverage.json",
        command="python -m benchmarks.curve.coverage",
        draw=draw_picks,
        brief=brief_picks,
    ),
    Table(
        name="pick_mnist",
        title="A choice by evidence on MNIST",
        words=(
            "The recipe mnist-mlp, a drop of one point, a confidence of 0.95, 200 repeats. Resampled: validation and "
            "test split together are the population, whose drops are the true ones, and each repeat draws 10,000 "
            "samples of it. Reordered: the validation split in a new order each time; the true drops are still those "
            "of both splits. `ww.pick` tries quarter octaves, the others each of the 256 widths."
        ),
        results="benchmarks/curve/results/pick_mnist.json",
        command="python -m benchmarks.curve.pick_mnist --data DIR",
        draw=draw_pick_mnist,
        brief=brief_pick_mnist,
    ),
    *(
        Table(
            name=f"search_{name}",
            title=f"A width for each group: {TASKS[name].title}",
            words=(
                "Networks trained under the default law, with one fraction for all groups (shared) or one that differs "
                "between them (jittered), and cut to budgets of MACs: the widest common fraction, a greedy search, and "
                "an evolutionary one. Searches see the validation split; the accuracy is that of the test split. MACs "
                "saved: against what the common fraction needs for the same accuracy. The time is that of the search, "
                "of drawing the curve 1."
            ),
            results=str(search_path(name).relative_to(ROOT)),
            command=f"python -m benchmarks.curve.search --data DIR --task {name}",
            draw=draw_search,
            brief=draw_search,
        )
        for name in SEARCHED
    ),
    *(
        Table(
            name=f"pruned_{name}",
            title=f"Beside Torch-Pruning: {TASKS[name].title}",
            words=(
                f"{TASKS[name].title}: {TASKS[name].words}. Test accuracy in % at three shares of the parameters. "
                "Torch-Pruning cuts the trained network once for each share, the same ratio in every layer, and each "
                "small network is trained on. `from the trained network` makes the same network elastic, sorted by "
                "Taylor, trains it on once, and cuts all three from that. `elastic from the start` was trained under "
                "the default law at the price of the plain training, and its networks are trained on like those of "
                "Torch-Pruning. Mean and standard deviation over the seeds."
            ),
            results=str(pruned_path(name).relative_to(ROOT)),
            command=f"python -m benchmarks.curve.pruned --data DIR --task {name}",
            draw=draw_pruned,
            brief=draw_pruned,
        )
        for name in PRUNED_TASKS
    ),
    Table(
        name="runtimes",
        title="An extracted network in each runtime",
        words=(
            "The same pairs, each exported and run by its own runtime: eager, ONNX Runtime, and ExecuTorch with "
            "XNNPACK, one sample, one thread. Both take turns in one process; outputs are compared on the same inputs. "
            "Bytes: of the file, more than that of the network built by hand."
        ),
        results="benchmarks/curve/results/extracted.json",
        command="python -m benchmarks.curve.extracted",
        draw=draw_runtimes,
        brief=brief_runtimes,
    ),
    *(
        Table(
            name=f"quantised_{network.replace('-', '_')}",
            title=f"Width and quantisation together: {network}",
            words=(
                "One training; its networks at each width, exported in each kind of numbers, read back in the runtime "
                "of the file and scored there on the validation split. float32 and float16: ONNX Runtime. int8: its "
                "quantiser, with ranges of activations measured at run time (dynamic) or on 2,048 training samples "
                "(static); torchao: weights of linear layers alone, in a program of torch.export. Bytes are those of "
                "the file. `alone, summed` is what the width loses in float32 plus what the numbers lose at full "
                "width; `more` is what is lost together beyond that."
            ),
            results=str(quantised_path(network).relative_to(ROOT)),
            command=f"python -m benchmarks.curve.quantised --data DIR --network {network}",
            draw=draw_quantised,
            brief=brief_quantised,
        )
        for network in QUANTISED
    ),
    Table(
        name="switching",
        title="Switching at run time",
        words=(
            "`with model.at(width): model(x)` against the network extracted at that width, one sample, one thread, in "
            "turns in one process. The cost is what the first takes longer, entering the width included; `octaves` has "
            "corrections that are added to the weights at every run. The first run is that at a width of a model that "
            "ran at another one. Medians over the seeds (smallest to largest)."
        ),
        results=str(SWITCHING.relative_to(ROOT)),
        command="python -m benchmarks.curve.switching",
        draw=draw_switching,
        brief=draw_switching,
    ),
    Table(
        name="one_file_bytes",
        title="One file, all widths",
        words=(
            "What `ww.load` reads of the file that `ww.save_elastic` wrote: its header, and the bytes of the width as "
            "one range; and what it reads to go on from the width in the row before. Beside them two other layouts "
            "of the same numbers: shells of octaves, which read the next octave whole, and a plain .safetensors file, "
            "whose ranges at that width are counted. Untrained networks: only bytes count."
        ),
        results=str(ONE_FILE["bytes"].relative_to(ROOT)),
        command="python -m benchmarks.curve.one_file --part bytes",
        draw=draw_one_file,
        brief=brief_one_file,
    ),
    Table(
        name="one_file_latency",
        title="One ONNX file, widths as inputs",
        words=(
            "The file with the widths as inputs against the file of the extracted network, both in ONNX Runtime, one "
            "sample, one thread, in turns in one process. Medians of wall ratios over the seeds (smallest to largest). "
            "Networks without corrections of octaves, which that file cannot hold."
        ),
        results=str(ONE_FILE["latency"].relative_to(ROOT)),
        command="python -m benchmarks.curve.one_file --part latency",
        draw=draw_latency,
        brief=draw_latency,
    ),
)
