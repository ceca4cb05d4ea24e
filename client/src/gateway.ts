import type { Options } from './options.js';

/** An answer of the gateway. What its body holds has not been checked. */
export interface Answer {
  status: number; // 0: none
  after: number; // Retry-After, ms
  ticket?: unknown;
  session?: unknown;
  valid_for?: unknown; // seconds
}

/** Posts body to one of the gateway's endpoints. It never rejects. */
export async function ask(endpoint: string, body: object, o: Options, signal: AbortSignal): Promise<Answer> {
  try {
    const headers: Record<string, string> = { 'Content-Type': 'application/json' };
    if (o.token) headers.Authorization = `Bearer ${await o.token()}`;
    const res = await (o.fetch ?? fetch)(endpoint, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      // One token a call: a stale cookie must not speak in the token's place.
      credentials: o.token ? 'omit' : 'include',
      // A page to log in at is not an answer.
      redirect: 'error',
      signal,
    });
    return {
      ...(await res.json().catch(() => {})),
      status: res.status,
      after: retryAfter(res.headers.get('Retry-After'), o),
    };
  } catch {
    return { status: 0, after: 0 }; // the error's text is not ours to pass on
  }
}

/** Reports whether the answer says "cannot tell" rather than yes or no. */
export function unsure({ status }: Answer): boolean {
  return !status || status === 429 || status > 499;
}

/** Reads Retry-After (RFC 9110, section 10.2.3) as ms: seconds, or a date. */
function retryAfter(value: string | null, { now = Date.now }: Options): number {
  const ms = Number(value) * 1000 || Date.parse(value!) - now();
  return ms > 0 ? ms : 0;
}
