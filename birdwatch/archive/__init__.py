"""Many recordings in one run: which they are, what is done already, and how far it has come."""
