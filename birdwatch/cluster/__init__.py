"""A run over several machines: its plan, the store of what was scored, workers, and the engines that drive them."""
