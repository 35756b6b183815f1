"""A run over recordings: inputs, jobs, scoring, the local runner, the run database, progress and summary."""
