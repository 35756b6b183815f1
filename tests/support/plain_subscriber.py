"""An ordinary subscriber, which knows birdwatch's schemas and nothing else of it.

    python plain_subscriber.py ENDPOINT FOLDER_OF_SCHEMAS

Prints each message that is valid, one JSON object per line; ends with 1 at the first that is not.
"""

import json
import sys
from pathlib import Path

import jsonschema
import zmq

endpoint, folder = sys.argv[1:]
schemas = {path.stem: json.loads(path.read_text()) for path in Path(folder).glob("*.json")}
socket = zmq.Context().socket(zmq.SUB)
socket.connect(endpoint)
socket.subscribe("birdwatch/1/")
print("subscribed", flush=True)
while True:
    topic, body = socket.recv_multipart()
    message = json.loads(body)
    jsonschema.validate(message, schemas[message["kind"]])
    prefix = f"birdwatch/1/{message['kind']}/{message['station']}/{message.get('label', '-')}/"
    if topic.decode() != prefix:
        sys.exit(f"topic is {topic!r}, expected {prefix!r}")
    print(json.dumps(message), flush=True)
