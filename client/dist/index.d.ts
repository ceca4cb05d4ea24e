/**
 * A WebSocket for pages behind the Portcullis gateway. It fetches a one-time
 * ticket for the handshake, renews the socket's authorization before it ends,
 * comes back after a cut or a restart, and stops, saying why, when the gateway
 * means it.
 */
export { PortcullisSocket } from './socket.js';
export type { Options, Status, PortcullisEventMap } from './options.js';
export type { Action } from './ends.js';
