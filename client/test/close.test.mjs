// That close() ends it whatever is going on, and that two ends at once are one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Gateway, held } from './gateway.mjs';
import { Page, settle } from './page.mjs';

// closedEarly checks what a close without an open connection looks like.
async function closedEarly(page, before = []) {
  assert.equal(page.socket.readyState, 2);
  assert.equal(page.names.length, before.length); // not from within close()
  const { code, reason, wasClean } = await page.nth('close');
  assert.deepEqual({ code, reason, wasClean }, { code: 1006, reason: '', wasClean: false });
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'stop' });
  assert.deepEqual(page.names, [...before, 'status', 'error', 'close']);
  await settle();
  page.ended();
}

test('closed as soon as it was made, it asks nothing', async (t) => {
  for (const options of [{}, { ticket: false }]) {
    const gateway = await Gateway.start(t);
    const made = [];
    const page = new Page(t, gateway.url, {
      ...options,
      token: () => made.push('token'),
      fetch: () => made.push('fetch'),
      WebSocket: class {
        constructor() {
          made.push('WebSocket');
        }
      },
    });
    page.socket.close();
    page.socket.close();
    await closedEarly(page);
    page.socket.send('into the void');
    assert.deepEqual(made, []);
  }
});

test('closed while its ticket is on the way', async (t) => {
  const gateway = await Gateway.start(t);
  const slow = held();
  gateway.ticket = slow.answer;
  const page = new Page(t, gateway.url);
  await gateway.until(() => gateway.asked.length === 1);
  page.socket.close();
  await closedEarly(page);
  await gateway.until(() => gateway.asked[0].res.destroyed);
  slow.release({ status: 200, body: { ticket: 'x' } });
  await settle();
  assert.equal(gateway.handshakes, undefined);
});

// A fetch that pays no heed to being aborted.
test('closed while its ticket is on the way and cannot be called back', async (t) => {
  const gateway = await Gateway.start(t);
  const slow = held();
  const page = new Page(t, gateway.url, { fetch: slow.answer });
  await settle();
  page.socket.close();
  await closedEarly(page);
  slow.release(new Response('{"ticket": "x"}'));
  await settle();
  assert.equal(gateway.handshakes, undefined);
});

test('closed during the handshake', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.upgrades = false;
  const page = new Page(t, gateway.url);
  await gateway.until(() => gateway.handshakes === 1);
  page.socket.close();
  await closedEarly(page);
});

test('closed while it waits to come back', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  await page.nth('open');
  gateway.live.close(1012);
  await page.nth('status');
  page.socket.close();
  assert.equal(page.clock.timers.size, 0);
  await closedEarly(page, ['open', 'status']);
  assert.equal(gateway.count('ticket'), 1);
});

test('closed while it gets a fresh token to come back with', async (t) => {
  const gateway = await Gateway.start(t);
  const slow = held();
  const page = new Page(t, gateway.url, { refresh: slow.answer });
  await page.nth('open');
  gateway.live.close(3000);
  await page.nth('status');
  page.clock.advance(0);
  page.socket.close();
  await closedEarly(page, ['open', 'status']);
  slow.release();
  await settle();
  assert.equal(gateway.count('ticket'), 1);
});

for (const during of ['refresh', 'renew']) {
  test(`closed in a renewal, during ${during}`, async (t) => {
    const gateway = await Gateway.start(t);
    const slow = held();
    if (during === 'renew') gateway.renew = slow.answer;
    const page = new Page(t, gateway.url, during === 'refresh' ? { refresh: slow.answer } : {});
    page.random = 0;
    await page.nth('open');
    page.clock.advance(240_000);
    if (during === 'renew') await gateway.until(() => gateway.count('renew') === 1);
    page.socket.close(1000);
    assert.equal(page.clock.timers.size, 0);
    slow.release({ status: 404 });
    const { code, wasClean } = await page.nth('close');
    assert.deepEqual([code, wasClean], [1000, true]);
    await settle();
    page.ended();
    assert.equal(gateway.count('renew'), during === 'renew' ? 1 : 0);
  });
}

// The other side's end meets ours.
test('closed while the gateway closes', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  await page.nth('open');
  gateway.live.close(3000, 'token_expired');
  page.socket.close(1000);
  await page.nth('close');
  assert.equal(page.last.action, 'stop');
  assert.deepEqual(page.names, ['open', 'status', 'close']);
  await settle();
  page.ended();
});

test('closed, it ends even if the other side cuts instead of answering', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  await page.nth('open');
  gateway.live.pause();
  page.socket.close(1000);
  gateway.live.terminate();
  const { code, wasClean } = await page.nth('close');
  assert.deepEqual([code, wasClean], [1006, false]);
  assert.deepEqual(page.names, ['open', 'status', 'error', 'close']);
});

test('delivers no message once it is closing', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  await page.nth('open');
  gateway.live.send('first');
  gateway.live.send('second');
  page.socket.onmessage = () => page.socket.close();
  await page.nth('close');
  assert.deepEqual(page.all('message').map((e) => e.data), ['first']);
  page.ended();
});

for (const type of ['open', 'status', 'error']) {
  test(`closed from within its ${type} handler`, async (t) => {
    const gateway = await Gateway.start(t);
    if (type === 'error') gateway.ticket = () => ({ status: 403 });
    gateway.onsocket = (ws) => type === 'status' && ws.close(1012);
    const page = new Page(t, gateway.url);
    page.socket[`on${type}`] = () => page.socket.close();
    await page.nth('close');
    await settle();
    page.ended();
    const want = {
      open: ['open', 'status', 'close'],
      status: ['open', 'status', 'status', 'error', 'close'],
      error: ['status', 'error', 'close'],
    }[type];
    assert.deepEqual(page.names, want);
  });
}

test('two ends at once, a refused renewal and a Close, are one', async (t) => {
  const gateway = await Gateway.start(t);
  const slow = held();
  gateway.renew = slow.answer;
  const page = new Page(t, gateway.url);
  page.random = 0;
  await page.nth('open');
  page.clock.advance(240_000);
  await gateway.until(() => gateway.count('renew') === 1);
  slow.release({ status: 404 });
  gateway.live.close(1012, 'shutdown');
  await page.nth('status');
  await settle();
  assert.equal(page.all('status').length, 1);
  page.clock.advance(page.last.in);
  await page.nth('open', 2);
  await settle();
  assert.deepEqual(page.names, ['open', 'status', 'open']);
  assert.equal(gateway.opened.length, 2);
});

test('a socket that is over says nothing any more; CLOSING shows before', async (t) => {
  const gateway = await Gateway.start(t);
  const made = [];
  class Slow {
    readyState = 0;
    constructor() {
      made.push(this);
    }
    close() {}
  }
  const page = new Page(t, gateway.url, { WebSocket: Slow, ticket: false });
  await settle();
  const [inner] = made;
  inner.readyState = 1;
  inner.onopen();
  assert.equal(page.socket.readyState, 1);
  inner.readyState = 2;
  assert.equal(page.socket.readyState, 2);
  inner.onclose({ code: 1012, reason: '', wasClean: true });
  inner.onclose({ code: 1012, reason: '', wasClean: true }); // some implementations tell it twice
  inner.onopen();
  assert.equal(page.socket.readyState, 0);
  page.clock.advance(page.last.in);
  await settle();
  made[1].readyState = 1;
  made[1].onopen();
  inner.onmessage({ data: 'late' });
  made[1].onmessage({ data: 'new' });
  inner.onclose({ code: 1006, reason: '', wasClean: false });
  assert.deepEqual(page.names, ['open', 'status', 'open', 'message']);
  assert.equal(page.all('message')[0].data, 'new');
});
