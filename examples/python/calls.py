"""A product's backend for calls: rings people, follows what happens, says who may call whom. See README.md.

    python calls.py call CALLER CALLEE | follow | serve [PORT]
"""

import hashlib
import hmac
import http.server
import json
import os
import pathlib
import sys
import time
import uuid

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "stubs"))
from sluice.calls.v1 import calls_pb2, calls_pb2_grpc, events_pb2, model_pb2  # noqa: E402 (made by generate.py)

DEADLINE = 5  # seconds
OLDEST = 300  # seconds: a request that is older may have been recorded and played again
LARGEST = 1024 * 1024  # bytes of a request
SECRET = os.environ.get("SLUICE_SECRET", "").encode()
PLACE = pathlib.Path("resume-token")  # yours is a database
BLOCKED = {("mallory", "bob")}  # caller, callee: yours is a database too


def call(calls: calls_pb2_grpc.CallsStub, bearer, caller: str, callee: str) -> None:
    request = calls_pb2.CreateCallRequest(
        request_id=str(uuid.uuid4()),  # a retry with the same id rings nobody twice
        caller=model_pb2.Party(user_id=caller, device_id="backend", handle=caller.title()),
        callees=[calls_pb2.Callee(user_id=callee, handle=callee.title())],
        kind=model_pb2.CALL_KIND_DIRECT,
        media=model_pb2.MEDIA_AUDIO,
    )
    answer = calls.CreateCall(request, metadata=bearer, timeout=DEADLINE)
    print(answer.call.call_id, model_pb2.CallState.Name(answer.call.state))
    print("token of the caller's device:", answer.media.token)


def follow(calls: calls_pb2_grpc.CallsStub, bearer) -> None:
    token = PLACE.read_text() if PLACE.exists() else ""
    for event in calls.Subscribe(calls_pb2.SubscribeRequest(resume_token=token), metadata=bearer):
        print(event.call_id, event.revision, events_pb2.EventType.Name(event.type), flush=True)
        PLACE.write_text(event.resume_token)  # after the work: an event may come twice, and none is lost


def is_genuine(headers, body: bytes, now: float) -> bool:
    """Whether whoever sent this knows the secret, and sent it just now."""
    timestamp = headers.get("Sluice-Timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > OLDEST:
        return False
    expected = hmac.new(SECRET, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v1={expected}", headers.get("Sluice-Signature", ""))


def authorize(question: dict) -> dict:
    caller = question["caller"]["userId"]

    def verdict(callee: str) -> dict:
        hidden = (caller, callee) in BLOCKED
        return {"userId": callee, "verdict": "VERDICT_DENY_HIDDEN" if hidden else "VERDICT_RING"}

    return {"callees": [verdict(callee) for callee in question.get("calleeUserIds", [])], "ttlS": 30}


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections: the hook has 300 ms

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > LARGEST:
            self.close_connection = True
            return self.reply(413)
        body = self.rfile.read(length)
        if not is_genuine(self.headers, body, time.time()):
            return self.reply(401)
        message = json.loads(body)
        if self.path == "/authorize":
            return self.reply(200, json.dumps(authorize(message)).encode())
        print(message["callId"], message.get("revision"), message["type"], flush=True)
        self.reply(204)

    def reply(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(command: str, *words: str) -> None:
    if command == "serve" and len(words) <= 1:
        if not SECRET:
            sys.exit("set SLUICE_SECRET to the secret of the server's settings")
        address = ("127.0.0.1", int(words[0]) if words else 8081)
        return http.server.ThreadingHTTPServer(address, Backend).serve_forever()
    bearer = (("authorization", f"Bearer {os.environ.get('SLUICE_GRPC_TOKEN', '')}"),)
    with grpc.insecure_channel(os.environ.get("SLUICE_CALLS", "127.0.0.1:7884")) as channel:
        calls = calls_pb2_grpc.CallsStub(channel)
        if command == "call" and len(words) == 2:
            call(calls, bearer, *words)
        elif command == "follow" and not words:
            follow(calls, bearer)
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(*(sys.argv[1:] or ["help"]))
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except KeyboardInterrupt:
        pass
