"""The hub: a subscriber that stores the messages of stations in a database and serves them to browsers."""
