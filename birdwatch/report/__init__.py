"""One self-contained page of detections: pictures that can be played, and when each species was detected."""
