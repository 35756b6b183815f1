"""One self-contained page that shows what was heard: pictures that can be played, and when it was heard."""
