"""Floor 3: the network at given kept sets, as a view for training and as a copy to take home."""

from widthwise.slicing.activation import Activation
from widthwise.slicing.blame import find_blamed, verify_and_freeze
from widthwise.slicing.causal import mask_weights
from widthwise.slicing.declared import DeclaredNetwork
from widthwise.slicing.declared_check import check_declared
from widthwise.slicing.export import Exported, export_network
from widthwise.slicing.extract import Form, copy_state, extract_network
from widthwise.slicing.finish.batches import batch_inputs, take_samples
from widthwise.slicing.finish.calibrate import (
    NUM_SAMPLES,
    has_batch_norm,
    keeps_statistics,
    recalibrate,
    recalibrate_module,
)
from widthwise.slicing.finish.dtype import DtypeName, convert
from widthwise.slicing.finish.head import Head, find_head
from widthwise.slicing.finish.refit import refit_head
from widthwise.slicing.formats import read_facts
from widthwise.slicing.importance import Taylor, measure_magnitude, measure_reading
from widthwise.slicing.network import SlicedNetwork
from widthwise.slicing.permutation import permute
from widthwise.slicing.plain import Agreement
from widthwise.slicing.running.compiled import Compilation
from widthwise.slicing.running.correction import Correction, UnitCorrection, WeightCorrection
from widthwise.slicing.running.program import Kept, Program
from widthwise.slicing.running.rescale import Factor
from widthwise.slicing.running.runner import Result, Runner
from widthwise.slicing.running.trunk import find_trunk
from widthwise.slicing.units import Place, Units, declared_units, find_makers, find_units, find_weights
from widthwise.slicing.verify import Verification, verify_network

__all__ = [
    "NUM_SAMPLES", "Activation", "Agreement", "Compilation", "Correction", "DeclaredNetwork", "DtypeName", "Exported",
    "Factor", "Form", "Head", "Kept", "Place", "Program", "Result", "Runner", "SlicedNetwork", "Taylor",
    "UnitCorrection", "Units", "Verification", "WeightCorrection", "batch_inputs", "check_declared", "convert",
    "copy_state", "declared_units", "export_network", "extract_network", "find_blamed", "find_head", "find_makers",
    "find_trunk", "find_units", "find_weights", "has_batch_norm", "keeps_statistics", "mask_weights",
    "measure_magnitude", "measure_reading", "permute", "read_facts", "recalibrate", "recalibrate_module", "refit_head",
    "take_samples", "verify_and_freeze", "verify_network",
]  # fmt: skip
