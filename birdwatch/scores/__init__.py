"""The scoring core that live and batch share: scoring policy, aggregation, recordings and events."""
