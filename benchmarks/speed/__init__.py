"""How long things take. The machine may be shared, so the time of the processor stands beside the time on the wall."""
