"""Benchmarks of this machine: each stage alone, the network alone, and the whole pipeline."""
