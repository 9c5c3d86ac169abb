"""An HTTP/2 client on python3-h2, which refuses whatever the protocol forbids a server: for tests of conformance.
Usage: h2client.py PORT SCRIPT: a JSON list of steps; prints what came of each, as JSON. Any fault ends it with 1.
  {"get": PATH, "count": N}     N requests at once: their statuses and lengths
  {"post": PATH, "bytes": N}    an upload within the server's windows: its status and text
  {"pings": N}                  pings; how many were acknowledged with their own bytes
  {"settings": {ID: VALUE}}     new settings; whether they were acknowledged
  {"slow": PATH, "window": N}   an answer through windows of N bytes: its length
  {"remote": true}              the server's settings
  {"goaway": true}              waits for GOAWAY, then the end
"""
import json
import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events = []
        self.ended = False
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def read(self):
        data = self.socket.recv(65536)
        self.ended = not data
        events = self.h2.receive_data(data) if data else []
        for event in events:
            if isinstance(event, h2.events.DataReceived) and not self.hold:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return events

    hold = False

    def until(self, kind, wanted=1, also=lambda event: None):
        """Reads until so many events of a kind have come."""
        found = []
        while len(found) < wanted:
            if self.ended:
                raise EOFError(f"ended before {kind.__name__}")
            for event in self.read():
                also(event)
                if isinstance(event, kind):
                    found.append(event)
        return found

    def headers(self, method, path, *more):
        return [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x"), *more]

    def request(self, path):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, self.headers("GET", path), end_stream=True)
        return stream

    def collect(self, streams):
        status, text = {}, {s: b"" for s in streams}

        def note(event):
            if isinstance(event, h2.events.ResponseReceived):
                status[event.stream_id] = int(dict(event.headers)[":status"])
            if isinstance(event, h2.events.DataReceived):
                text[event.stream_id] += event.data
            if isinstance(event, h2.events.StreamReset):
                raise RuntimeError(f"stream {event.stream_id} was reset, code {event.error_code}")

        self.until(h2.events.StreamEnded, len(streams), note)
        return [[status[s], len(text[s])] for s in streams], text

    def get(self, step):
        streams = [self.request(step["get"]) for _ in range(step.get("count", 1))]
        self.flush()
        return self.collect(streams)[0]

    def post(self, step):
        stream = self.h2.get_next_available_stream_id()
        left = step["bytes"]
        self.h2.send_headers(stream, self.headers("POST", step["post"], ("content-length", str(left))))
        while left > 0:
            room = min(left, self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room > 0:
                left -= room
                self.h2.send_data(stream, b"u" * room, end_stream=left == 0)
                self.flush()
            else:
                self.until(h2.events.WindowUpdated)
        statuses, text = self.collect([stream])
        return [statuses[0][0], text[stream].decode()]

    def pings(self, step):
        sent = [bytes([i] * 8) for i in range(step["pings"])]
        for one in sent:
            self.h2.ping(one)
        self.flush()
        got = self.until(h2.events.PingAckReceived, len(sent))
        return sum(event.ping_data == one for event, one in zip(got, sent))

    def settings(self, step):
        self.h2.update_settings({int(k): v for k, v in step["settings"].items()})
        self.flush()
        self.until(h2.events.SettingsAcknowledged)
        return True

    def slow(self, step):
        """The stream's window is opened bit by bit, no sooner than it is used up."""
        self.settings({"settings": {str(int(h2.settings.SettingCodes.INITIAL_WINDOW_SIZE)): step["window"]}})
        self.hold = True
        stream = self.request(step["slow"])
        self.flush()
        length, largest, over = 0, 0, False
        while not over:
            for event in self.read():
                if isinstance(event, h2.events.DataReceived):
                    length += len(event.data)
                    largest = max(largest, len(event.data))
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                over |= isinstance(event, h2.events.StreamEnded)
            self.flush()
        self.hold = False
        return [length, largest]

    def remote(self, step):
        self.request("/hello")
        self.flush()
        self.until(h2.events.StreamEnded)
        r = self.h2.remote_settings
        return {"streams": r.max_concurrent_streams, "window": r.initial_window_size, "frame": r.max_frame_size,
                "list": r.max_header_list_size, "push": r.enable_push}

    def goaway(self, step):
        last = self.until(h2.events.ConnectionTerminated)[-1]
        while not self.ended:
            last = ([e for e in self.read() if isinstance(e, h2.events.ConnectionTerminated)] or [last])[-1]
        return [last.error_code, last.last_stream_id]


def main():
    client, results = Client(int(sys.argv[1])), []
    for step in json.loads(sys.argv[2]):
        results.append(getattr(client, next(iter(step)))(step))
    print(json.dumps(results))


main()
