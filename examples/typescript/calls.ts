// A product's backend for calls: rings people, follows what happens, says who may call whom. See README.md.
//
//     npm start -- call CALLER CALLEE | follow | serve [PORT]
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const OLDEST = 300; // seconds: a request that is older may have been recorded and played again
const LARGEST = 1024 * 1024; // bytes of a request
const SECRET = process.env.SLUICE_SECRET ?? "";
const PLACE = "resume-token"; // yours is a database
const BLOCKED = new Set(["mallory bob"]); // caller, callee: yours is a database too

type Event = { callId: string; revision: string; type: string; resumeToken: string };
type Question = { caller: { userId: string }; calleeUserIds?: string[] };

function connect(): grpc.Client & Record<string, Function> {
  const proto = fileURLToPath(new URL("../../proto", import.meta.url));
  const loaded = loadSync("sluice/calls/v1/calls.proto", {
    includeDirs: [proto], longs: String, enums: String, defaults: true,
  });
  const { Calls } = (grpc.loadPackageDefinition(loaded) as any).sluice.calls.v1;
  return new Calls(process.env.SLUICE_CALLS ?? "127.0.0.1:7884", grpc.credentials.createInsecure());
}

function bearer(): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${process.env.SLUICE_GRPC_TOKEN ?? ""}`);
  return metadata;
}

function call(caller: string, callee: string): void {
  const request = {
    requestId: randomUUID(), // a retry with the same id rings nobody twice
    caller: { userId: caller, deviceId: "backend", handle: caller },
    callees: [{ userId: callee, handle: callee }],
    kind: "CALL_KIND_DIRECT",
    media: "MEDIA_AUDIO",
  };
  const calls = connect();
  calls.createCall(request, bearer(), { deadline: Date.now() + 5_000 }, (error: grpc.ServiceError | null, answer: any) => {
    calls.close();
    if (error) return fail(error);
    console.log(answer.call.callId, answer.call.state);
    console.log("token of the caller's device:", answer.media?.token);
  });
}

function follow(): void {
  const resumeToken = existsSync(PLACE) ? readFileSync(PLACE, "utf8") : "";
  const events = connect().subscribe({ resumeToken }, bearer());
  events.on("data", (event: Event) => {
    console.log(event.callId, event.revision, event.type);
    writeFileSync(PLACE, event.resumeToken); // after the work: an event may come twice, and none is lost
  });
  events.on("error", fail);
}

/** Whether whoever sent this knows the secret, and sent it just now. */
function isGenuine(headers: IncomingHttpHeaders, body: Buffer): boolean {
  const timestamp = String(headers["sluice-timestamp"] ?? "");
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > OLDEST) return false;
  const mac = createHmac("sha256", SECRET).update(`${timestamp}.`).update(body).digest("hex");
  const [expected, given] = [`v1=${mac}`, String(headers["sluice-signature"] ?? "")].map((text) => Buffer.from(text));
  return expected.length === given.length && timingSafeEqual(expected, given);
}

function authorize(question: Question): object {
  const verdict = (userId: string) => {
    const hidden = BLOCKED.has(`${question.caller.userId} ${userId}`);
    return { userId, verdict: hidden ? "VERDICT_DENY_HIDDEN" : "VERDICT_RING" };
  };
  return { callees: (question.calleeUserIds ?? []).map(verdict), ttlS: 30 };
}

function serve(port: number): void {
  if (!SECRET) return fail(new Error("set SLUICE_SECRET to the secret of the server's settings"));
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of request) {
      bytes += chunk.length;
      if (bytes > LARGEST) return void response.writeHead(413, { connection: "close" }).end();
      chunks.push(chunk);
    }
    const body = Buffer.concat(chunks);
    if (!isGenuine(request.headers, body)) return void response.writeHead(401).end();
    const message = JSON.parse(body.toString());
    if (request.url === "/authorize") return void response.end(JSON.stringify(authorize(message)));
    console.log(message.callId, message.revision, message.type);
    response.writeHead(204).end();
  });
  server.listen(port, "127.0.0.1");
}

function fail(error: Error): void {
  console.error(error.message);
  process.exitCode = 1;
}

const [command, ...words] = process.argv.slice(2);
if (command === "call" && words.length === 2) call(words[0], words[1]);
else if (command === "follow" && words.length === 0) follow();
else if (command === "serve" && words.length <= 1) serve(Number(words[0] ?? 8081));
else fail(new Error("npm start -- call CALLER CALLEE | follow | serve [PORT]"));
