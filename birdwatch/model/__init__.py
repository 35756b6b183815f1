"""A model file and what it answers: manifest, front end, session, classifier, registry, names, species filters."""
