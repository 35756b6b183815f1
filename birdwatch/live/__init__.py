"""A station: sources of live audio, frame numbering and accounting, clock synchronisation, and the daemon."""
