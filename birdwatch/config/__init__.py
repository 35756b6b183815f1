"""Settings: their definition, where they are read from, and the rules made of them."""
