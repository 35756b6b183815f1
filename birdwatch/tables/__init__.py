"""Table formats, one module each, and readers of tables and labels."""
