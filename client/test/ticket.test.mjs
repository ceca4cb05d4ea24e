// How it gets in: the ticket, and every answer that may come instead of one.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test from 'node:test';
import { WebSocket } from 'ws';
import { Gateway, held } from './gateway.mjs';
import { Page, settle } from './page.mjs';

test('asks for a ticket by cookie, and opens the URL with it', async (t) => {
  const gateway = await Gateway.start(t);
  const calls = [];
  const page = new Page(t, gateway.url, { fetch: (url, init) => calls.push(init) && fetch(url, init) });
  await page.nth('open');
  const [{ path, method, body, headers }] = gateway.asked;
  assert.deepEqual([method, path, body], ['POST', '/.portcullis/ticket', { path: '/wsapi/' }]);
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers.authorization, undefined);
  assert.equal(calls[0].credentials, 'include');
  assert.equal(gateway.opened[0].url, '/wsapi/?ticket=secret%2Bticket%2F1');
  assert.equal(gateway.opened[0].protocols, undefined);
  assert.equal(gateway.asked.length, 1);
});

test('leaves the rest of the query as it is', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, `${gateway.url}a%20b/?x=1%202&y=a+b`);
  await page.nth('open');
  assert.equal(gateway.opened[0].url, '/wsapi/a%20b/?x=1%202&y=a+b&ticket=secret%2Bticket%2F1');
  assert.deepEqual(gateway.asked[0].body, { path: '/wsapi/a b/' });
});

test('asks by bearer token, without cookies, anew for every call', async (t) => {
  const gateway = await Gateway.start(t);
  const credentials = [];
  let n = 0;
  const page = new Page(t, gateway.url, {
    token: async () => `t${++n}`,
    fetch: (url, init) => credentials.push(init.credentials) && fetch(url, init),
  });
  await page.nth('open');
  gateway.live.close(1012);
  await page.nth('status');
  page.clock.advance(page.last.in);
  await page.nth('open', 2);
  assert.deepEqual(gateway.asked.map((a) => a.headers.authorization), ['Bearer t1', 'Bearer t2']);
  assert.deepEqual(credentials, ['omit', 'omit']);
});

test('takes a token that cannot be had for "not now"', async (t) => {
  const gateway = await Gateway.start(t);
  let fails = true;
  const token = () => {
    if (fails) throw new Error('secret');
    return 't1';
  };
  const page = new Page(t, gateway.url, { token });
  await page.nth('status');
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 250 });
  assert.equal(gateway.asked.length, 0);
  fails = false;
  page.clock.advance(250);
  await page.nth('open');
});

test('W6: carries the ticket as a subprotocol if asked to', async (t) => {
  for (const [own, protocol] of [[undefined, ''], [['chat'], 'chat']]) {
    const gateway = await Gateway.start(t);
    gateway.ticket = () => ({ status: 200, body: { ticket: 'T1' } });
    const page = new Page(t, `${gateway.url}?x=1`, { subprotocol: true }, own);
    await page.nth('open');
    assert.equal(gateway.opened[0].url, '/wsapi/?x=1');
    assert.equal(gateway.opened[0].protocols, ['ticket', 'T1', ...(own ?? [])].join(','));
    assert.equal(page.socket.protocol, protocol);
  }
});

test('shows a protocol called ticket where that is the page’s own', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url, {}, 'ticket');
  await page.nth('open');
  assert.equal(page.socket.protocol, 'ticket');
});

test('opens the URL as it is with ticket: false', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, `${gateway.url}?x=1`, { ticket: false });
  await page.nth('open');
  assert.equal(gateway.opened[0].url, '/wsapi/?x=1');
  assert.equal(gateway.asked.length, 0);
  assert.equal(page.clock.timers.size, 0);
});

test('asks the gateway that base names', async (t) => {
  const gateway = await Gateway.start(t);
  for (const base of [gateway.origin, `${gateway.origin}/`, `${gateway.origin}/gate`]) {
    const page = new Page(t, gateway.url, { base });
    await page.nth('open');
    const prefix = base.endsWith('gate') ? '/gate' : '';
    assert.equal(gateway.asked.at(-1).path, `${prefix}/.portcullis/ticket`);
  }
});

// Each answer, what the page is told, and whether that is the end.
const answers = [
  ['401', { status: 401 }, { code: 3000, reason: 'unauthorized', action: 'stop' }],
  ['403', { status: 403 }, { code: 3003, reason: 'forbidden', action: 'stop' }],
  ['404', { status: 404 }, { code: 1006, reason: '', action: 'stop' }],
  ['400', { status: 400 }, { code: 1006, reason: '', action: 'stop' }],
  ['429', { status: 429 }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 250 }],
  ['500', { status: 500 }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 250 }],
  ['503', { status: 503 }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 250 }],
  ['503, in seconds', { status: 503, headers: { 'Retry-After': '5' } }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 5250 }],
  ['503, at a time', { status: 503, headers: { 'Retry-After': 'Mon, 23 Nov 2026 12:01:00 GMT' } }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 60_250 }],
  ['503, at a time that was', { status: 503, headers: { 'Retry-After': 'Mon, 23 Nov 2026 11:00:00 GMT' } }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 250 }],
  ['503, at a negative time', { status: 503, headers: { 'Retry-After': '-9' } }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 250 }],
  ['503, at nonsense', { status: 503, headers: { 'Retry-After': 'soon' } }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 250 }],
  ['503 with a ticket', { status: 503, body: { ticket: 'x' } }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 250 }],
  ['503 with nonsense', { status: 503, body: '<html>' }, { code: 1013, reason: 'unavailable', action: 'reconnect', in: 250 }],
  ['200 with nonsense', { status: 200, body: '<html>' }, { code: 1006, reason: '', action: 'reconnect', in: 250 }],
  ['200 with null', { status: 200, body: 'null' }, { code: 1006, reason: '', action: 'reconnect', in: 250 }],
  ['200 with a list', { status: 200, body: [{ ticket: 'x' }] }, { code: 1006, reason: '', action: 'reconnect', in: 250 }],
  ['200 with a number for a ticket', { status: 200, body: { ticket: 1 } }, { code: 1006, reason: '', action: 'reconnect', in: 250 }],
];
for (const [name, answer, want] of answers) {
  test(`the ticket is refused: ${name}`, async (t) => {
    const gateway = await Gateway.start(t);
    gateway.ticket = () => answer;
    const page = new Page(t, gateway.url);
    await page.nth('status');
    assert.deepEqual(page.last, want);
    assert.equal(gateway.opened.length, 0);
    if (want.action === 'stop') {
      const { code, reason, wasClean } = await page.nth('close');
      assert.deepEqual({ code, reason, wasClean }, { code: want.code, reason: want.reason, wasClean: false });
      assert.deepEqual(page.names, ['status', 'error', 'close']);
      page.ended();
      assert.equal(gateway.asked.length, 1);
    } else {
      assert.deepEqual(page.clock.waits, [want.in]);
      assert.equal(page.socket.readyState, 0);
    }
  });
}

test('waits as long as the longest timer can, not 0, for a Retry-After beyond it', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.ticket = () => ({ status: 503, headers: { 'Retry-After': '99999999999' } });
  const page = new Page(t, gateway.url);
  await page.nth('status');
  assert.deepEqual(page.clock.waits, [2 ** 31 - 1]);
});

test('tries again when the gateway cannot be reached', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.stop();
  await once(gateway.server, 'close');
  const page = new Page(t, gateway.url);
  for (const n of [1, 2, 3]) {
    await page.nth('status', n);
    assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 125 * 2 ** n });
    page.clock.advance(page.last.in);
  }
});

test('I2: does not follow a redirect, nor take it for an answer', async (t) => {
  let followed = 0;
  const other = createServer((req, res) => {
    followed++;
    res.end(JSON.stringify({ ticket: 'x' }));
  }).listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const gateway = await Gateway.start(t);
  gateway.ticket = () => ({ status: 307, headers: { Location: `http://127.0.0.1:${other.address().port}/` } });
  const page = new Page(t, gateway.url, { token: () => 'secret' });
  await page.nth('status');
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 250 });
  assert.equal(followed, 0);
});

test('gives up a ticket, a token and a handshake that do not come', async (t) => {
  const gateway = await Gateway.start(t);
  const slow = held();
  const real = gateway.ticket;
  gateway.ticket = slow.answer;
  let never = false;
  const token = () => (never ? new Promise(() => {}) : 't');
  const page = new Page(t, gateway.url, { token });
  await gateway.until(() => gateway.asked.length === 1);
  page.clock.advance(19_999);
  assert.equal(page.all('status').length, 0);
  page.clock.advance(1);
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 250 });
  await gateway.until(() => gateway.asked[0].res.destroyed); // the call was broken off
  slow.release({ status: 200, body: { ticket: 'late' } });

  never = true;
  page.clock.advance(250);
  await settle();
  page.clock.advance(20_000);
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 500 });

  never = false;
  gateway.ticket = real;
  gateway.upgrades = false;
  page.clock.advance(500);
  await gateway.until(() => gateway.handshakes === 1);
  page.clock.advance(20_000);
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 1000 });

  gateway.upgrades = true;
  page.clock.advance(1000);
  await page.nth('open');
  await settle();
  assert.equal(page.all('status').length, 3);
  assert.equal(gateway.opened.length, 1);
});

test('A1: stops where a socket cannot be made, and repeats nothing of the error', async (t) => {
  const gateway = await Gateway.start(t);
  class Refusing {
    constructor(url) {
      throw new Error(`mixed content: ${url}`);
    }
  }
  const page = new Page(t, gateway.url, { WebSocket: Refusing });
  await page.nth('close');
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'stop' });
  assert.doesNotMatch(JSON.stringify(page.all('status')[0].detail), /secret|ticket/);
  page.ended();
});

test('tries again when the handshake is refused', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.server.removeAllListeners('upgrade');
  gateway.server.on('upgrade', (req, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'));
  const page = new Page(t, gateway.url);
  await page.nth('status');
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 250 });
  assert.deepEqual(page.names, ['status']);
});

test('A1: no token or ticket in any event, property or log', async (t) => {
  const logged = [];
  for (const method of ['log', 'info', 'warn', 'error', 'debug']) {
    t.mock.method(console, method, (...args) => logged.push(args));
  }
  const warn = (warning) => logged.push(warning);
  process.on('warning', warn);
  t.after(() => process.off('warning', warn));
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url, { token: () => 'secret', refresh: () => Promise.reject(new Error('secret')), subprotocol: true });
  gateway.ticket = () => ({ status: 200, body: { ticket: 'secret', session: 'h-1', valid_for: 300 } });
  await page.nth('open');
  gateway.live.terminate();
  await page.nth('status');
  gateway.ticket = () => ({ status: 200, body: { ticket: 'not a secret protocol', session: 'h-1', valid_for: 300 } });
  page.clock.advance(page.last.in);
  await page.nth('close');
  const seen = page.events.map((e) => [e.type, e.detail, e.code, e.reason, e.message, e.error]);
  const { socket } = page;
  assert.doesNotMatch(JSON.stringify([seen, logged, socket.url, socket.protocol, Object.values(socket)]), /secret/);
  assert.deepEqual(logged, []);
  assert.equal(WebSocket.CLOSED, socket.readyState);
});
