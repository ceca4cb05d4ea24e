// Every way to use it, for the compiler to check against dist.
import { PortcullisSocket, type Action, type Options, type PortcullisEventMap, type Status } from 'portcullis-client';

declare function show(text: string): void;

// As in the README.
const socket = new PortcullisSocket('/wsapi/', ['chat'], {
  refresh: async () => (await fetch('/login/refresh', { method: 'POST' })).ok,
});
socket.addEventListener('open', () => socket.send('hello')); // also after each reconnect
socket.addEventListener('message', (event) => show(event.data));
socket.addEventListener('status', ({ detail }) => show(detail.text));
socket.addEventListener('close', ({ code, reason }) => show(`over: ${code} ${reason}`));

// Wherever a WebSocket is wanted.
const plain: WebSocket = new PortcullisSocket(new URL('wss://app.example.com/wsapi/'));
plain.onclose = (event) => show(event.reason);
plain.binaryType = 'arraybuffer';
plain.send(new Uint8Array(1));
plain.close(1000, 'done');

const options: Options = {
  token: () => 'token',
  base: 'https://gate.example.com',
  ticket: true,
  subprotocol: true,
  WebSocket,
  fetch,
  setTimeout: (call, ms) => setTimeout(call, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: Math.random,
  now: Date.now,
};
const bearer = new PortcullisSocket('wss://app.example.com/wsapi/', 'chat', options);
bearer.onstatus = (event) => {
  const { code, reason, action, in: ms, text }: Status = event.detail;
  const wait: number | undefined = ms;
  const next: Action = action;
  show(`${code} ${reason} ${next} ${wait} ${text}`);
};
const listen = (event: PortcullisEventMap['status']) => show(event.detail.text);
bearer.addEventListener('status', listen, { once: true });
bearer.removeEventListener('status', listen);

// @ts-expect-error: there is no such event
bearer.addEventListener('renewed', (event: CustomEvent) => show(event.detail));
// @ts-expect-error: a URL alone says nothing of options
new PortcullisSocket('/wsapi/', { refresh: () => true });
