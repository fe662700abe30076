"""The search: a width for each group under a budget, in place of one fraction for all."""
