// The access token. A product's own backend would mint it; `sluice dev` does so for anybody who asks.
import { ProblemError } from './problem.ts';
import { words } from './words/index.ts';

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
      title: words().unreachableTitle,
      hint: words().unreachableHint,
    });
  }
  if (response.status === 404) {
    throw new ProblemError({
      title: words().noTokensTitle,
      hint: words().noTokensHint,
    });
  }
  if (!response.ok) {
    const reason = (await response.text()).slice(0, 200).trim();
    throw new ProblemError({
      title: words().refusedTitle,
      hint: reason || words().refusedHint(response.status),
    });
  }
  return parseToken(await response.json());
}

function parseToken(body: unknown): Token {
  const { token, identity } = (body ?? {}) as Partial<Record<keyof Token, unknown>>;
  if (typeof token !== 'string' || typeof identity !== 'string') {
    throw new ProblemError({ title: words().noTokenTitle, hint: words().noTokenHint });
  }
  return { token, identity };
}
