"""Calls without a browser: rings over the WebSocket, talks through LiveKit's native SDK. Plays all parts itself. See README.md.

    python ring.py
"""

import asyncio
import json
import math
import os
import pathlib
import sys
import time
import uuid

import grpc
import websockets
from livekit import rtc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "stubs"))
from sluice.calls.v1 import calls_pb2, calls_pb2_grpc, model_pb2  # noqa: E402 (made by generate.py)

URL = os.environ.get("SLUICE_URL", "ws://127.0.0.1:7880")
PATIENCE = 20  # seconds
SAMPLE_RATE = 48_000
WIDTH, HEIGHT = 320, 180
COLOURS = {"asha": (200, 50, 50), "ravi": (40, 160, 70)}
COLOUR_TOLERANCE = 50  # a low rate and the way to YUV and back move a channel by some 20
AUDIBLE = 0.02  # of full scale; the tone that is sent has 0.2


async def until(what: str, holds) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE} s")
        await asyncio.sleep(0.05)
    print("·", what, flush=True)


class Device:
    """One device of a user, on the calls' WebSocket. JSON messages, as client.proto documents them."""

    def __init__(self, user: str, name: str):
        self.user, self.name = user, name
        self.rings: dict[str, dict] = {}
        self.stopped: dict[str, str] = {}
        self.calls: dict[str, dict] = {}
        self.over: dict[str, dict] = {}
        self.replies: dict[str, asyncio.Future] = {}

    async def connect(self, token: str) -> "Device":
        self.socket = await websockets.connect(f"{URL}/calls/v1?access_token={token}")
        self.hear(json.loads(await self.socket.recv()))
        self.listening = asyncio.create_task(self.listen())
        return self

    async def listen(self) -> None:
        async for text in self.socket:
            message = json.loads(text)
            self.hear(message)
            if "ring" in message:  # tell the server that it rings here: the caller's "calling" becomes "ringing"
                await self.send("ack", {"callId": message["ring"]["callId"]})

    def hear(self, message: dict) -> None:
        if "ring" in message:
            self.rings[message["ring"]["callId"]] = message["ring"]
        elif "ringStopped" in message:
            stopped = message["ringStopped"]
            self.rings.pop(stopped["callId"], None)
            self.stopped[stopped["callId"]] = stopped["reason"]
        elif "call" in message:
            self.calls[message["call"]["callId"]] = message["call"]
        elif "over" in message:
            self.over[message["over"]["callId"]] = message["over"]
        elif "reply" in message:
            waiting = self.replies.pop(message["reply"].get("id", ""), None)
            if waiting and not waiting.done():
                waiting.set_result(message["reply"])

    async def send(self, request: str, body: dict) -> str:
        intent = uuid.uuid4().hex  # sent again after a lost connection, the server does it once
        await self.socket.send(json.dumps({"id": intent, request: body}))
        return intent

    async def ask(self, request: str, **body) -> dict:
        intent = uuid.uuid4().hex
        self.replies[intent] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"id": intent, request: body}))
        reply = await asyncio.wait_for(self.replies[intent], PATIENCE)
        if "error" in reply:
            raise RuntimeError(f"{self.name}: {request}: {reply['error']}")
        if "call" in reply:
            self.calls[reply["call"]["callId"]] = reply["call"]
        return reply

    def sees(self, call: str, user: str) -> str:
        """What the others' screens say of `user`."""
        members = self.calls.get(call, {}).get("members", [])
        return next((member["state"].removeprefix("SHOWN_") for member in members if member["userId"] == user), "")

    async def close(self) -> None:
        self.listening.cancel()
        await self.socket.close()


class Seat:
    """What a device hears, sees, says and shows in the call's room."""

    def __init__(self, user: str, tone: int):
        self.user, self.tone = user, tone
        self.room = rtc.Room()
        self.loudness: dict[str, float] = {}
        self.colour: dict[str, tuple] = {}
        self.tasks: list[asyncio.Task] = []
        self.room.on("track_subscribed", self.watch)

    async def enter(self, media: dict) -> "Seat":
        # Without a name of its own in its settings, the server is where we found it.
        await self.room.connect(media.get("url") or URL, media["token"])
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self.room.local_participant.publish_track(track, options)
        self.tasks.append(asyncio.create_task(self.sing(source)))
        return self

    async def show(self) -> None:
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA)
        await self.room.local_participant.publish_track(track, options)
        self.tasks.append(asyncio.create_task(self.paint(source)))

    def watch(self, track: rtc.Track, _publication, participant: rtc.RemoteParticipant) -> None:
        user = participant.identity.split("#")[0]  # `user#seat`
        video = track.kind == rtc.TrackKind.KIND_VIDEO
        self.tasks.append(asyncio.create_task(self.look(track, user) if video else self.listen(track, user)))

    async def listen(self, track: rtc.Track, user: str) -> None:
        stream = rtc.AudioStream(track)
        try:
            async for event in stream:
                samples = event.frame.data
                self.loudness[user] = math.sqrt(sum(x * x for x in samples) / max(len(samples), 1)) / 32_768
        finally:
            await stream.aclose()

    async def look(self, track: rtc.Track, user: str) -> None:
        stream = rtc.VideoStream(track, capacity=1, format=rtc.VideoBufferType.RGBA)
        try:
            async for event in stream:
                frame = event.frame
                at = (frame.height // 2 * frame.width + frame.width // 2) * 4
                self.colour[user] = tuple(frame.data[at : at + 3])
        finally:
            await stream.aclose()

    async def sing(self, source: rtc.AudioSource) -> None:
        samples, at = SAMPLE_RATE // 100, 0
        while True:
            frame = rtc.AudioFrame.create(SAMPLE_RATE, 1, samples)
            for n in range(samples):
                frame.data[n] = round(10_000 * math.sin(2 * math.pi * self.tone * (at + n) / SAMPLE_RATE))
            at += samples
            await source.capture_frame(frame)  # keeps the pace by itself

    async def paint(self, source: rtc.VideoSource) -> None:
        picture = bytes((*COLOURS[self.user], 255)) * (WIDTH * HEIGHT)
        while True:
            source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, picture))
            await asyncio.sleep(1 / 15)

    def hears(self, user: str) -> bool:
        return self.loudness.get(user, 0) > AUDIBLE

    def sees(self, user: str) -> bool:
        seen = self.colour.get(user)
        return seen is not None and all(abs(a - b) <= COLOUR_TOLERANCE for a, b in zip(seen, COLOURS[user]))

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.room.disconnect()


async def play(calls: calls_pb2_grpc.CallsStub, bearer) -> None:
    async def device(user: str, name: str) -> Device:
        request = calls_pb2.CreateDeviceTokenRequest(user_id=user, device_id=f"{user}-{name}", handle=f"@{user}")
        answer = await calls.CreateDeviceToken(request, metadata=bearer, timeout=PATIENCE)
        return await Device(user, f"{user}'s {name}").connect(answer.token)

    asha, phone, laptop = await device("asha", "phone"), await device("ravi", "phone"), await device("ravi", "laptop")
    meera = await device("meera", "phone")

    created = await asha.ask("call", calleeUserIds=["ravi"], kind="CALL_KIND_DIRECT", media="MEDIA_AUDIO")
    call = created["call"]["callId"]
    ashas = await Seat("asha", 440).enter(created["media"])
    await until("both of Ravi's devices ring", lambda: call in phone.rings and call in laptop.rings)
    await until("Asha sees that it rings", lambda: asha.sees(call, "ravi") == "RINGING")

    accepted = await laptop.ask("accept", callId=call)
    await until("the phone falls silent", lambda: phone.stopped.get(call) == "STOP_REASON_ACCEPTED_ELSEWHERE")
    ravis = await Seat("ravi", 554).enter(accepted["media"])
    await until("Asha and Ravi hear each other", lambda: ashas.hears("ravi") and ravis.hears("asha"))

    await asha.ask("invite", callId=call, userIds=["meera"])
    await until("Meera's phone rings", lambda: call in meera.rings)
    meeras = await Seat("meera", 698).enter((await meera.ask("accept", callId=call))["media"])
    await until("Meera hears both", lambda: meeras.hears("asha") and meeras.hears("ravi"))

    moved = await phone.ask("transfer", callId=call)
    old, ravis = ravis, await Seat("ravi", 554).enter(moved["media"])
    await until("the laptop is told that the call moved", lambda: laptop.stopped.get(call) == "STOP_REASON_MOVED_TO_DEVICE")
    await old.leave()
    ashas.loudness.clear()
    await until("Asha hears Ravi from his phone", lambda: ashas.hears("ravi") and ravis.hears("asha"))

    await asha.ask("requestUpgrade", callId=call)
    await until("Ravi is asked for video", lambda: phone.calls[call].get("upgradeRequestedBy") == "asha")
    await phone.ask("respondUpgrade", callId=call, yes=True)
    await meera.ask("respondUpgrade", callId=call, yes=False)
    await until("Asha and Ravi may send video", lambda: all(
        device.calls[call].get("videoAllowed") and may_show(seat) for device, seat in ((asha, ashas), (phone, ravis))
    ))
    await ashas.show()
    await ravis.show()
    await until("they see each other", lambda: ashas.sees("ravi") and ravis.sees("asha"))

    await asha.ask("end", callId=call)
    await until("all hear that it is over", lambda: all(
        one.over.get(call, {}).get("reason") == "SHOWN_REASON_ENDED" for one in (phone, meera)
    ))
    for seat in (ashas, ravis, meeras):
        await seat.leave()
    for one in (asha, phone, laptop, meera):
        await one.close()
    await look_up(calls, bearer, call)


def may_show(seat: Seat) -> bool:
    """The room has heard of what the call allows."""
    sources = seat.room.local_participant.permissions.can_publish_sources
    return not sources or rtc.TrackSource.SOURCE_CAMERA in sources


async def look_up(calls: calls_pb2_grpc.CallsStub, bearer, call: str) -> None:
    answer = await calls.GetCall(calls_pb2.GetCallRequest(call_id=call), metadata=bearer, timeout=PATIENCE)
    record = answer.record
    outcomes = {leg.user_id: model_pb2.Outcome.Name(leg.shown) for leg in record.legs}
    print(f"record: {model_pb2.EndReason.Name(record.end_reason)}, {record.duration_ms} ms, {outcomes}")
    if outcomes != dict.fromkeys(("asha", "ravi", "meera"), "OUTCOME_ANSWERED") or record.duration_ms <= 0:
        raise RuntimeError("that is not what happened")


async def main() -> None:
    bearer = (("authorization", f"Bearer {os.environ.get('SLUICE_GRPC_TOKEN', '')}"),)
    async with grpc.aio.insecure_channel(os.environ.get("SLUICE_CALLS", "127.0.0.1:7884")) as channel:
        await play(calls_pb2_grpc.CallsStub(channel), bearer)


if __name__ == "__main__":
    asyncio.run(main())
