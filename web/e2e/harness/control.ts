// The node's gRPC API as any program sees it: from the published .proto files, with a bearer token.
import { Metadata, credentials, loadPackageDefinition, type Client, type ServiceClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { join } from 'node:path';
import type { ControlAddress } from './server.ts';
import { REPOSITORY } from './settings.ts';

const DEADLINE_MS = 5_000;

type Method = (
  request: object,
  metadata: Metadata,
  options: { deadline: number },
  done: (error: ServiceError | null, answer: unknown) => void,
) => void;

type SfuClient = Client & Record<string, Method>;

/** Made from the .proto files at run time, hence unknown to the compiler. */
interface Definitions {
  sluice: { sfu: { v1: { Sfu: ServiceClientConstructor } } };
}

export interface Publication {
  publicationId: string;
  muted: boolean;
}

export interface NodeSession {
  participantId: string;
  publications: Publication[];
}

export interface NodeRoom {
  roomId: string;
  sessions: NodeSession[];
}

export class Control {
  readonly #client: SfuClient;
  readonly #metadata = new Metadata();

  constructor({ address, token }: ControlAddress) {
    const root = join(REPOSITORY, 'proto');
    const definition = loadPackageDefinition(loadSync('sluice/sfu/v1/sfu.proto', { includeDirs: [root], defaults: true }));
    const { Sfu } = (definition as unknown as Definitions).sluice.sfu.v1;
    this.#client = new Sfu(address, credentials.createInsecure()) as SfuClient;
    this.#metadata.set('authorization', `Bearer ${token}`);
  }

  async rooms(): Promise<NodeRoom[]> {
    const { rooms } = await this.#call<{ rooms: { roomId: string }[] }>('ListRooms', {});
    const whole = rooms.map(({ roomId }) => this.#call<{ room: NodeRoom }>('GetRoom', { roomId }));
    return (await Promise.all(whole)).map(({ room }) => room);
  }

  /** Without an owner epoch: an operator's hand. */
  async setMuted(roomId: string, publicationId: string, muted: boolean): Promise<void> {
    await this.#call('SetMuted', { roomId, publicationId, muted });
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
