"""The hub: keeps what stations publish in a database and serves it to browsers; a subscriber like any other."""
