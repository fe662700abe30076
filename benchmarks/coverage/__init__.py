"""Which networks that nobody here wrote can shrink, beside the newest release of Torch-Pruning."""
