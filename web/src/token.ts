// The access token. A product's own backend would mint it; `sluice dev` does so for anybody who asks.
import { ProblemError } from './problem.ts';

export interface Token {
  token: string;
  identity: string;
}

export async function fetchToken(room: string, name: string): Promise<Token> {
  let response: Response;
  try {
    response = await fetch('./dev/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ room, name }),
    });
  } catch {
    throw new ProblemError({
      title: 'The server cannot be reached.',
      hint: 'Check that it runs and that you are online, then try again.',
    });
  }
  if (response.status === 404) {
    throw new ProblemError({
      title: 'This server gives out no development tokens.',
      hint: 'Start it with “sluice dev”, or join through the product that it belongs to.',
    });
  }
  if (!response.ok) {
    const reason = (await response.text()).slice(0, 200).trim();
    throw new ProblemError({
      title: 'The server refused to let you in.',
      hint: reason || `It answered with status ${response.status}.`,
    });
  }
  return parseToken(await response.json());
}

function parseToken(body: unknown): Token {
  const { token, identity } = (body ?? {}) as Partial<Record<keyof Token, unknown>>;
  if (typeof token !== 'string' || typeof identity !== 'string') {
    throw new ProblemError({ title: 'The server sent no token.', hint: 'Page and server may be of different versions.' });
  }
  return { token, identity };
}
