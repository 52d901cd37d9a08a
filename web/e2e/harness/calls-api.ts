// The calls API as the product's backend sees it: from the published .proto files, with a bearer token.
import { Metadata, credentials, loadPackageDefinition, type Client, type ServiceClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { CallsClient } from '../../sdk/src/index.ts';
import type { ControlAddress } from './server.ts';
import { REPOSITORY } from './settings.ts';

const DEADLINE_MS = 5_000;

type Method = (
  request: object,
  metadata: Metadata,
  options: { deadline: number },
  done: (error: ServiceError | null, answer: unknown) => void,
) => void;

/** Made from the .proto files at run time, hence unknown to the compiler. */
interface Definitions {
  sluice: { calls: { v1: { Calls: ServiceClientConstructor } } };
}

/** What of a record the stories look at. */
export interface CallRecord {
  callId: string;
  endReason: string;
  createdAtMs: number;
  answeredAtMs: number;
  endedAtMs: number;
  durationMs: number;
  legs: { userId: string; outcome: string; shown: string; joinedAtMs: number; leftAtMs: number }[];
}

export class CallsApi {
  readonly #client: Client & Record<string, Method>;
  readonly #metadata = new Metadata();

  constructor({ address, token }: ControlAddress) {
    const includeDirs = [join(REPOSITORY, 'proto')];
    const loaded = loadSync('sluice/calls/v1/calls.proto', { includeDirs, defaults: true, longs: Number, enums: String });
    const { Calls } = (loadPackageDefinition(loaded) as unknown as Definitions).sluice.calls.v1;
    this.#client = new Calls(address, credentials.createInsecure()) as Client & Record<string, Method>;
    this.#metadata.set('authorization', `Bearer ${token}`);
  }

  async deviceToken(userId: string, deviceId: string): Promise<string> {
    const { token } = await this.#call<{ token: string }>('CreateDeviceToken', { userId, deviceId, handle: `@${userId}` });
    return token;
  }

  /** `null` while the call lives. */
  async record(callId: string): Promise<CallRecord | null> {
    return (await this.#call<{ record: CallRecord | null }>('GetCall', { callId })).record;
  }

  /** Of one user, newest first. */
  async records(userId: string): Promise<CallRecord[]> {
    return (await this.#call<{ records: CallRecord[] }>('ListRecords', { userId })).records;
  }

  /** Once the service listens. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(Date.now() + DEADLINE_MS, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): void {
    this.#client.close();
  }

  #call<T>(name: string, request: object): Promise<T> {
    return new Promise((resolve, reject) => {
      const method = this.#client[name];
      if (!method) return reject(new Error(`the API has no ${name}`));
      method.call(this.#client, request, this.#metadata, { deadline: Date.now() + DEADLINE_MS }, (error, answer) =>
        error ? reject(error) : resolve(answer as T),
      );
    });
  }
}

/** A device without a browser, as the product's backend lets it in. */
export async function connectDevice(url: string, api: CallsApi, userId: string, deviceId = 'phone'): Promise<CallsClient> {
  await api.ready();
  let token = await api.deviceToken(userId, deviceId);
  const client = new CallsClient({
    url,
    // While the server is away the backend has no new token; the old one is still good.
    token: async () => (token = await api.deviceToken(userId, deviceId).catch(() => token)),
    WebSocket,
  });
  await client.connect();
  return client;
}
