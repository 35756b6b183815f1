"""Models: manifest, front end, session, classifier, registry, label names and species filters."""
