"""Small networks, each of them a way in which a careless width inference is silently wrong.

The numbers are those of the attack on which the rules rest: the item of part 1 of the notes that each one comes from.
"""

from tests.traps import layers
from tests.traps.blocks import BLOCKS
from tests.traps.frozen import FROZEN
from tests.traps.network import Network, Trap
from tests.traps.sound import SOUND

__all__ = ["FROZEN", "LAYERS", "SOUND", "Network", "Trap"]

LAYERS = layers.LAYERS | BLOCKS
