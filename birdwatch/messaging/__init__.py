"""The wire: messages and their schemas, publisher, subscriber, replay, message log, endpoints and CURVE keys."""
