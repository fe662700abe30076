"""Picture data sets in four IDX files: which files, their checksums, where they come from, how they are split."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["FASHION", "IMAGE_SETS", "MNIST", "TEST_IMAGES", "TEST_LABELS", "TRAIN_IMAGES", "TRAIN_LABELS", "ImageSet"]

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSet:
    """Describe a data set; the last `num_validation` samples of its training files are the validation split."""

    name: str
    folder: str
    """Subfolder in which the files may lie."""
    address: str
    """Where to download the files, with the closing slash."""
    sha256: Mapping[str, str]
    """Checksum of each of the four .gz files."""
    num_validation: int = 10_000
    num_classes: int = 10


MNIST = ImageSet(
    name="mnist",
    folder="mnist",
    address="https://ossci-datasets.s3.amazonaws.com/mnist/",
    sha256=MappingProxyType(
        {
            TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        }
    ),
)
"""Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"."""

FASHION = ImageSet(
    name="fashion",
    folder="fashion_mnist",
    # The publisher's own address, which answers to http only; the checksums guard what comes.
    address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    sha256=MappingProxyType(
        {
            TRAIN_IMAGES: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            TRAIN_LABELS: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            TEST_IMAGES: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            TEST_LABELS: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        }
    ),
)
"""H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", 2017."""

IMAGE_SETS: Mapping[str, ImageSet] = MappingProxyType({MNIST.name: MNIST, FASHION.name: FASHION})
"""The sets by name."""
