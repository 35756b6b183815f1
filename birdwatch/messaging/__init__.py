"""Messaging over ZeroMQ: messages and schemas, publisher, subscriber, replay, message log, endpoints and CURVE keys."""
