// Opens a socket through a real gateway and prints what happens, one JSON object a
// line, until it is over or standard input ends:
//
//   node test/real.mjs URL < a pipe that stays open
//
// with the token in $TOKEN, and in $REFRESH a URL that answers a POST with a fresh
// one as text, if there is such. Each line of input is sent as a message. Without
// a global WebSocket it takes that of ws.
import { createInterface } from 'node:readline';
import { PortcullisSocket } from '../dist/portcullis-client.js';

let token = process.env.TOKEN ?? '';
const { REFRESH } = process.env;

async function refresh() {
  const res = await fetch(REFRESH, { method: 'POST' });
  if (res.ok) token = await res.text();
  return res.ok;
}

const WebSocket = globalThis.WebSocket ?? (await import('ws')).WebSocket;
const socket = new PortcullisSocket(process.argv[2], [], { WebSocket, token: () => token, ...(REFRESH && { refresh }) });
const print = (line) => console.log(JSON.stringify(line));
socket.onopen = () => print({ event: 'open' });
socket.onmessage = ({ data }) => print({ event: 'message', data });
socket.onstatus = ({ detail }) => print({ event: 'status', ...detail });
const input = createInterface({ input: process.stdin });
socket.onclose = ({ code, reason, wasClean }) => {
  print({ event: 'close', code, reason, wasClean });
  input.close();
};
input.on('line', (line) => socket.readyState === socket.OPEN && socket.send(line));
input.on('close', () => socket.close(1000));
