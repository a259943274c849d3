"""A receiver of call-backs on loopback: receiver.py PAGE SECRET_FILE RECEIVED. It prints its port, checks each signature
with the Python of that page, refuses the first attempt of all, and writes "NODE EVENT" for each that it takes. One that it
has taken already, too late for whoever sent it, it knows by its id."""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

page, secret_file, received = map(Path, sys.argv[1:])
secret = secret_file.read_text().strip()
example = {}
exec(re.search(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[1], example)


class Receiver(BaseHTTPRequestHandler):
    refused = False
    taken: set[str] = set()
    one_at_a_time = Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not example["is_genuine"](secret, headers, body) or example["is_genuine"](secret, headers, body + b" "):
            self.answer(401)
        elif not Receiver.refused:
            Receiver.refused = True
            self.answer(500)
        else:
            event = json.loads(body)
            assert headers["content-type"] == "application/cloudevents+json" and event["specversion"] == "1.0"
            assert event["id"] == headers["webhook-id"]
            with Receiver.one_at_a_time, received.open("a") as file:
                if event["id"] not in Receiver.taken:
                    Receiver.taken.add(event["id"])
                    file.write(f"{event['subject']} {event['type'].rsplit('.', 1)[1]}\n")
            self.answer(204)

    def answer(self, code: int) -> None:
        self.send_response(code)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
received.touch()
print(server.server_port, flush=True)
server.serve_forever()
