"""The command line, one module per command: parses and prints, nothing else."""
