"""Distributions as values: divergences between them, posteriors and priors of codes."""
