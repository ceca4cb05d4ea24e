/** What follows an end. */
export type Action = 'reconnect' | 'renew' | 'stop';

/** What an end means: what to do, and the words for it. */
export type End = [action: Action, text: string];

const expired: End = ['renew', 'The token is not, or no longer, valid.'];
const forbidden: End = ['stop', 'Not allowed here.'];
const unavailable: End = ['reconnect', 'The gateway cannot tell at the moment.'];
const shutdown: End = ['reconnect', 'The service is restarting.'];
const cut: End = ['reconnect', 'The connection was cut, or could not be made.'];

const ends = new Map<string | number, End>([
  ['token_expired', expired],
  ['unauthorized', expired], // our own word for 401
  ['session_revoked', ['stop', 'The session was ended. Log in again.']],
  ['forbidden', forbidden],
  ['limit', ['stop', 'Over a limit.']],
  ['unavailable', unavailable],
  ['shutdown', shutdown],
  [3000, expired],
  [4401, expired],
  [3003, forbidden],
  [4403, forbidden],
  [1008, forbidden],
  [1006, cut],
  [1012, shutdown],
  [1013, unavailable],
]);

/**
 * Tells what an end means. The reason word is the more exact, so it goes first;
 * the code serves where a gateway, proxy or backend gives no word of ours.
 */
export function meaning(code: number, reason: string): End {
  return ends.get(reason) ?? ends.get(code) ?? ['stop', 'The server ended the connection.'];
}
