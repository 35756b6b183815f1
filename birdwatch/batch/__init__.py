"""A run over recordings: inputs, jobs, scoring of one recording, local runner, run database, progress and summary."""
