"""Small networks, each of them a way in which a careless width inference is silently wrong.

The numbers are those of the attack on which the rules rest: the item of part 1 of the notes that each one comes from.
What has none comes from part 2, except where it holds something that was right all along.
"""

from tests.traps import layers, sound
from tests.traps.blocks import BLOCKS
from tests.traps.frozen import FROZEN
from tests.traps.network import Network, Trap
from tests.traps.operators import OPERATORS

__all__ = ["FROZEN", "LAYERS", "SOUND", "Network", "Trap"]

LAYERS = layers.LAYERS | BLOCKS
SOUND = sound.SOUND | OPERATORS
