"""The model that ships with birdwatch, and its card."""
