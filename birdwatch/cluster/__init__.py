"""A run over several machines: its plan, the store of commits, workers, and the engines that run them."""
