"""Ways to run a network at any widths: traced as a whole, in part, or with its groups named."""
