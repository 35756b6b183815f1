"""Settings: their definition, how they are read, and the scoring policy made from them."""
