// What it makes of an end: come back, renew and come back, or stop.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Gateway } from './gateway.mjs';
import { Page, settle } from './page.mjs';

// The end that the socket sees, and what follows from it.
const ends = [
  [3000, 'token_expired', 'renew'],
  [4401, 'token_expired', 'renew'],
  [1008, 'token_expired', 'renew'],
  [3003, 'session_revoked', 'stop'],
  [3003, 'forbidden', 'stop'],
  [4403, 'session_revoked', 'stop'],
  [1008, 'forbidden', 'stop'],
  [1008, 'limit', 'stop'],
  [1013, 'limit', 'stop'],
  [1008, 'unavailable', 'reconnect'],
  [1012, 'shutdown', 'reconnect'],
  [1001, 'shutdown', 'reconnect'],
  [1013, 'unavailable', 'reconnect'],
  [3000, '', 'renew'],
  [3000, 'session_revoked', 'stop'],
  [4401, 'forbidden', 'stop'],
  [4401, '', 'renew'],
  [3003, '', 'stop'],
  [3003, 'token_expired', 'renew'],
  [4403, '', 'stop'],
  [1008, '', 'stop'],
  [1012, '', 'reconnect'],
  [1013, 'a word of the backend', 'reconnect'],
  [1000, '', 'stop'],
  [1000, 'bye', 'stop'],
  [1001, '', 'stop'],
  [1011, '', 'stop'],
  [4000, 'constructor', 'stop'],
  [4000, '1006', 'stop'],
  [undefined, '', 'stop'],
];
for (const [code, reason, action] of ends) {
  test(`the end ${code ?? 'without a code'} "${reason}" means ${action}`, async (t) => {
    const gateway = await Gateway.start(t);
    const page = new Page(t, gateway.url);
    await page.nth('open');
    gateway.live.close(code, reason);
    await page.nth('status');
    const told = { code: code ?? 1005, reason };
    const wait = { renew: { in: 0 }, reconnect: { in: 250 }, stop: {} }[action];
    assert.deepEqual(page.last, { ...told, action, ...wait });
    if (action === 'stop') {
      const event = await page.nth('close');
      assert.deepEqual({ code: event.code, reason: event.reason, wasClean: event.wasClean }, { ...told, wasClean: true });
      assert.deepEqual(page.names, ['open', 'status', 'close']);
      await settle();
      page.ended();
      assert.equal(gateway.count('ticket'), 1);
    } else {
      assert.equal(page.socket.readyState, 0);
      page.clock.advance(page.last.in);
      await page.nth('open', 2);
      assert.deepEqual(page.names, ['open', 'status', 'open']);
      assert.equal(gateway.opened[1].url, '/wsapi/?ticket=secret%2Bticket%2F2'); // never the old one
    }
  });
}

test('comes back after a cut', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  await page.nth('open');
  gateway.live.terminate();
  await page.nth('status');
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 250 });
  page.clock.advance(249);
  await settle();
  assert.equal(gateway.count('ticket'), 1);
  page.clock.advance(1);
  await page.nth('open', 2);
});

test('backs off, up to 30 s, with full jitter', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.ticket = () => ({ status: 500 });
  for (const [random, want] of [
    [1, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
    [0.1, [50, 100, 200, 400, 800, 1600, 3000, 3000]],
    [0, [0, 0, 0]],
  ]) {
    const page = new Page(t, gateway.url);
    page.random = random;
    const waits = [];
    for (const n of want.keys()) {
      await page.nth('status', n + 1);
      waits.push(page.last.in);
      page.clock.advance(page.last.in);
    }
    assert.deepEqual(waits, want);
    page.socket.close();
  }
});

test('starts the back-off over once a socket has lived for 10 s', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  const waits = [];
  for (const [n, lived] of [0, 9999, 9999, 10_000, 0].entries()) {
    await page.nth('open', n + 1);
    page.clock.advance(lived);
    gateway.live.close(1012, 'shutdown');
    await page.nth('status', n + 1);
    waits.push(page.last.in);
    page.clock.advance(page.last.in);
  }
  assert.deepEqual(waits, [250, 500, 1000, 250, 500]);
});

test('backs off after a long-lived socket as after any', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  await page.nth('open');
  page.clock.advance(60_000);
  gateway.ticket = () => ({ status: 503 });
  gateway.live.terminate();
  const waits = [];
  for (const n of [1, 2, 3]) {
    await page.nth('status', n);
    waits.push(page.last.in);
    page.clock.advance(page.last.in);
  }
  assert.deepEqual(waits, [250, 500, 1000]);
});

test('gets a fresh token when it has expired, then comes back', async (t) => {
  const gateway = await Gateway.start(t);
  let token = 'old';
  const page = new Page(t, gateway.url, { token: () => token, refresh: async () => (token = 'new') });
  await page.nth('open');
  gateway.live.close(3000, 'token_expired');
  await page.nth('status');
  page.clock.advance(0);
  await page.nth('open', 2);
  assert.deepEqual(gateway.asked.map((a) => a.headers.authorization), ['Bearer old', 'Bearer new']);
});

const refusals = [
  ['resolves to false', async () => false],
  ['returns false', () => false],
  ['rejects', () => Promise.reject(new Error('secret'))],
  ['throws', () => { throw new Error('secret'); }],
];
for (const [name, refresh] of refusals) {
  test(`stops when the token has expired and refresh ${name}`, async (t) => {
    const gateway = await Gateway.start(t);
    const page = new Page(t, gateway.url, { refresh });
    await page.nth('open');
    gateway.live.close(3000, 'token_expired');
    await page.nth('status');
    page.clock.advance(0);
    const { code, reason, wasClean } = await page.nth('close');
    assert.deepEqual([code, reason, wasClean], [3000, 'token_expired', true]);
    assert.deepEqual(page.all('status').map((e) => e.detail.action), ['renew', 'stop']);
    assert.deepEqual(page.last, { code: 3000, reason: 'token_expired', action: 'stop' });
    page.ended();
    assert.equal(gateway.count('ticket'), 1);
  });
}

test('gets a fresh token when the ticket is refused, once', async (t) => {
  for (const status of [200, 401]) {
    const gateway = await Gateway.start(t);
    const real = gateway.ticket;
    let refreshes = 0;
    gateway.ticket = () => (refreshes && status === 200 ? real() : { status: 401 });
    const page = new Page(t, gateway.url, { refresh: () => void refreshes++ });
    await page.nth('status');
    assert.deepEqual(page.last, { code: 3000, reason: 'unauthorized', action: 'renew', in: 0 });
    page.clock.advance(0);
    if (status === 200) {
      await page.nth('open');
    } else {
      await page.nth('close');
      assert.deepEqual(page.last, { code: 3000, reason: 'unauthorized', action: 'stop' });
      page.ended();
      assert.equal(gateway.asked.length, 2);
    }
    assert.equal(refreshes, 1);
  }
});

test('expires while it waits to reconnect', async (t) => {
  const gateway = await Gateway.start(t);
  const real = gateway.ticket;
  let expired = true;
  const page = new Page(t, gateway.url, { refresh: () => void (expired = false) });
  await page.nth('open');
  gateway.ticket = () => (expired ? { status: 401 } : real());
  gateway.live.terminate();
  await page.nth('status');
  page.clock.advance(page.last.in);
  await page.nth('status', 2);
  assert.deepEqual(page.last, { code: 3000, reason: 'unauthorized', action: 'renew', in: 500 }); // no faster than the back-off
  page.clock.advance(500);
  await page.nth('open', 2);
  assert.deepEqual(page.names, ['open', 'status', 'status', 'open']);
});

test('a token that expired during an outage is refreshed though one was before', async (t) => {
  const gateway = await Gateway.start(t);
  const real = gateway.ticket;
  let refreshes = 0;
  const page = new Page(t, gateway.url, { refresh: () => void refreshes++ });
  await page.nth('open');
  const answers = [503, 401].map((status) => () => ({ status }));
  gateway.ticket = () => (answers.shift() ?? real)();
  gateway.live.close(3000);
  for (const [n, action] of ['renew', 'reconnect', 'renew'].entries()) {
    await page.nth('status', n + 1);
    assert.equal(page.last.action, action);
    page.clock.advance(page.last.in);
  }
  await page.nth('open', 2);
  assert.equal(refreshes, 2);
});

// accept_then_close, and gateways whose clock is ahead.
test('stops if a fresh token is thrown out at once', async (t) => {
  for (const options of [{ refresh: () => true }, {}, { ticket: false }]) {
    const gateway = await Gateway.start(t);
    gateway.onsocket = (ws) => ws.close(3000, 'token_expired');
    const page = new Page(t, gateway.url, options);
    await page.nth('status');
    page.clock.advance(page.last.in);
    await page.nth('close');
    assert.deepEqual(page.last, { code: 3000, reason: 'token_expired', action: 'stop' });
    assert.deepEqual(page.names, ['open', 'status', 'open', 'status', 'close']);
    page.ended();
  }
});

test('renews again and again if each token was good for a while', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url, { ticket: false, refresh: () => true });
  const waits = [];
  for (const [n, lived] of [0, 1000, 5000, 10_000].entries()) {
    await page.nth('open', n + 1);
    page.clock.advance(lived);
    gateway.live.close(4401, 'token_expired');
    await page.nth('status', n + 1);
    waits.push(page.last.in);
    page.clock.advance(page.last.in);
  }
  assert.deepEqual(waits, [0, 500, 1000, 0]); // no faster than the back-off
});

test('R6: a clock that was set back does not pass for a fresh token thrown out', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url, { refresh: () => true });
  await page.nth('open');
  gateway.live.close(3000);
  await page.nth('status');
  page.clock.advance(0);
  await page.nth('open', 2);
  page.clock.step(-3_600_000);
  gateway.live.close(3000);
  await page.nth('status', 2);
  assert.equal(page.last.action, 'renew');
});

test('sockets that share a refresh share the call', async (t) => {
  const gateway = await Gateway.start(t);
  let calls = 0;
  let release;
  const refresh = () => {
    calls++;
    return new Promise((resolve) => (release = resolve));
  };
  const pages = [1, 2].map(() => new Page(t, gateway.url, { refresh }));
  for (const round of [1, 2]) {
    for (const page of pages) {
      await page.nth('open', round);
      page.clock.advance(1000);
    }
    for (const { ws } of gateway.opened) ws.close(3000);
    for (const page of pages) {
      await page.nth('status', round);
      page.clock.advance(page.last.in);
    }
    await settle();
    assert.equal(calls, round);
    release();
  }
});
