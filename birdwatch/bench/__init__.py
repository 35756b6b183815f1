"""How fast this machine is: each stage alone, the bare network, and the whole beside what that could do."""
