"""Lists a node's rooms, watches its events, mutes a track. See README.md.

    python rooms.py node | list | watch | mute ROOM_ID PUBLICATION_ID | unmute ROOM_ID PUBLICATION_ID
"""

import os
import pathlib
import sys

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "stubs"))
from sluice.sfu.v1 import events_pb2, sfu_pb2, sfu_pb2_grpc  # noqa: E402 (made by generate.py)

DEADLINE = 5  # seconds


def main(command: str, *words: str) -> None:
    address = os.environ.get("SLUICE_GRPC", "127.0.0.1:7883")
    bearer = (("authorization", f"Bearer {os.environ.get('SLUICE_GRPC_TOKEN', '')}"),)
    with grpc.insecure_channel(address) as channel:
        node = sfu_pb2_grpc.SfuStub(channel)

        def call(method, request):
            return method(request, metadata=bearer, timeout=DEADLINE)

        if command == "node":
            print(call(node.GetNode, sfu_pb2.GetNodeRequest()).node)
        elif command == "list":
            for room in call(node.ListRooms, sfu_pb2.ListRoomsRequest()).rooms:
                print(room.room_id, f"{room.sessions} sessions")
                whole = call(node.GetRoom, sfu_pb2.GetRoomRequest(room_id=room.room_id)).room
                for session in whole.sessions:
                    for track in session.publications:
                        print("  ", session.participant_id, track.publication_id, track.codec, "muted" * track.muted)
        elif command == "watch":
            for message in node.WatchEvents(events_pb2.WatchEventsRequest(), metadata=bearer):
                event = message.event
                print(event.sequence, event.room_id, event.WhichOneof("kind") or "hello", flush=True)
        elif command in ("mute", "unmute") and len(words) == 2:
            room_id, publication_id = words
            # owner_epoch 0: an operator's hand, on behalf of whoever owns the room.
            muted = command == "mute"
            call(node.SetMuted, sfu_pb2.SetMutedRequest(room_id=room_id, publication_id=publication_id, muted=muted))
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(*(sys.argv[1:] or ["help"]))
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except KeyboardInterrupt:
        pass
