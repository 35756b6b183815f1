"""What live and batch both do with window scores: aggregation, recordings and events."""
