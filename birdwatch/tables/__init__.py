"""Table formats, one module each, and files that appear whole or not at all."""
