// That a live socket's authorization is renewed before it ends, without a reconnect.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { Gateway, held } from './gateway.mjs';
import { Page, settle } from './page.mjs';

// opened is a page whose socket is open.
async function opened(t, gateway, options) {
  const page = new Page(t, gateway.url, options);
  page.random = 0;
  await page.nth('open');
  return page;
}

// renewals waits for n POSTs to renew to have been answered, and for what follows.
async function renewals(gateway, n) {
  await gateway.until(() => gateway.count('renew') === n && gateway.asked.at(-1).res.writableFinished);
  await settle();
}

test('renews 30 s before the end or at 80 %, but not in the first half', async (t) => {
  for (const [validFor, want] of [
    [3600, 2880],
    [300, 240],
    [150, 120],
    [140, 110],
    [100, 70],
    [60, 30],
    [50, 25],
    [3, 1.5],
    [1.5, 1],
    [0.5, undefined], // over before anything could be done
    [0, undefined],
    [-5, undefined],
    ['soon', undefined],
    [null, undefined],
    [undefined, undefined],
    [1e10, (2 ** 31 - 1) / 1000], // the longest timer
  ]) {
    const gateway = await Gateway.start(t);
    gateway.validFor = validFor;
    const page = await opened(t, gateway);
    assert.deepEqual(page.clock.waits, want ? [want * 1000] : [], `valid for ${validFor} s`);
    page.socket.close();
  }
});

test('spreads renewals over the tenth before', async (t) => {
  for (const [random, want] of [[0.5, 228_000], [1, 216_000]]) {
    const gateway = await Gateway.start(t);
    const page = new Page(t, gateway.url);
    page.random = random;
    await page.nth('open');
    assert.deepEqual(page.clock.waits, [want]);
  }
});

test('counts from before the ticket was asked for', async (t) => {
  const gateway = await Gateway.start(t);
  const real = gateway.ticket;
  gateway.ticket = () => {
    page.clock.advance(7000);
    return real();
  };
  const page = new Page(t, gateway.url);
  page.random = 0;
  await page.nth('open');
  assert.deepEqual(page.clock.waits, [233_000]);
});

test('does not renew without a session handle', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.ticket = () => ({ status: 200, body: { ticket: 'x', valid_for: 300 } });
  const page = await opened(t, gateway);
  assert.equal(page.clock.timers.size, 0);
});

test('lives through three token lifetimes without a reconnect', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.onsocket = (ws) => ws.on('message', (data) => ws.send(`${data}`));
  let token = 0;
  const page = await opened(t, gateway, { token: () => `t${token}`, refresh: async () => token++ });
  for (const n of [1, 2, 3]) {
    page.clock.advance(239_999);
    await settle();
    assert.equal(gateway.count('renew'), n - 1);
    page.clock.advance(1);
    await renewals(gateway, n);
    const { path, body, headers } = gateway.asked.at(-1);
    assert.deepEqual([path, body, headers.authorization], ['/.portcullis/renew', { session: 'h-1' }, `Bearer t${n}`]);
    page.socket.send(`${n}`);
    await page.nth('message', n);
  }
  assert.deepEqual(page.names, ['open', 'message', 'message', 'message']);
  assert.equal(gateway.opened.length, 1);
});

test('goes by what the renewal brought', async (t) => {
  const gateway = await Gateway.start(t);
  const page = await opened(t, gateway);
  gateway.validFor = 100;
  page.clock.advance(240_000);
  await renewals(gateway, 1);
  assert.deepEqual(page.clock.waits, [70_000]);
  gateway.validFor = undefined; // from now on without an end
  page.clock.advance(70_000);
  await renewals(gateway, 2);
  assert.deepEqual(page.clock.waits, []);
});

for (const [name, refresh] of [['is refused', async () => false], ['rejects', () => Promise.reject(new Error('secret'))]]) {
  test(`does not renew if refresh ${name}; the gateway closes, and it asks once more`, async (t) => {
    const gateway = await Gateway.start(t);
    const page = await opened(t, gateway, { refresh });
    page.clock.advance(240_000);
    await settle();
    assert.equal(page.clock.timers.size, 0);
    assert.equal(page.socket.readyState, 1);
    gateway.live.close(3000, 'token_expired');
    await page.nth('status');
    page.clock.advance(page.last.in);
    await page.nth('close');
    page.ended();
    assert.equal(gateway.count('renew'), 0);
  });
}

for (const status of [400, 401, 403]) {
  test(`leaves it at a ${status}, till the gateway closes`, async (t) => {
    const gateway = await Gateway.start(t);
    gateway.renew = () => ({ status });
    const page = await opened(t, gateway);
    page.clock.advance(240_000);
    await renewals(gateway, 1);
    assert.equal(page.clock.timers.size, 0);
    assert.deepEqual(page.names, ['open']);
    gateway.live.close(3000, 'token_expired');
    await page.nth('status');
    assert.equal(page.last.action, 'renew');
  });
}

for (const [name, answer, waits] of [
  ['503', { status: 503 }, [1000, 2000, 4000]],
  ['503 with Retry-After', { status: 503, headers: { 'Retry-After': '3' } }, [4000, 5000, 7000]],
  ['429', { status: 429 }, [1000, 2000, 4000]],
]) {
  test(`tries again after ${name}, with a back-off and without another refresh`, async (t) => {
    const gateway = await Gateway.start(t);
    const real = gateway.renew;
    let refreshes = 0;
    const page = await opened(t, gateway, { refresh: () => void refreshes++ });
    page.random = 1;
    gateway.renew = () => answer;
    page.clock.advance(240_000);
    for (const [n, wait] of waits.entries()) {
      await renewals(gateway, n + 1);
      assert.deepEqual(page.clock.waits, [wait]);
      page.clock.advance(wait);
    }
    gateway.renew = real;
    await renewals(gateway, 4);
    page.random = 0;
    page.clock.advance(page.clock.waits[0]);
    gateway.renew = real;
    page.clock.advance(240_000);
    await renewals(gateway, 5);
    assert.equal(refreshes, 2);
    assert.deepEqual(page.names, ['open']);
  });
}

test('tries again when the gateway cannot be reached, until the authorization ends', async (t) => {
  const gateway = await Gateway.start(t);
  let fetches = 0;
  const page = await opened(t, gateway, {
    fetch: (url, init) => (fetches++ ? Promise.reject(new TypeError('secret')) : fetch(url, init)),
  });
  page.random = 0.999;
  const start = page.clock.time;
  page.clock.advance(240_000);
  for (;;) {
    await settle();
    if (!page.clock.timers.size) break;
    const wait = page.clock.waits[0];
    assert.ok(page.clock.time + wait < start + 300_000);
    page.clock.advance(wait);
  }
  assert.equal(fetches, 1 + 6); // at 240 s, and 1, 2, 4, 8 and 16 s after the one before
  assert.deepEqual(page.names, ['open']);
  gateway.live.close(3000, 'token_expired');
  await page.nth('status');
});

test('tries again after 20 s without an answer, and then ignores the late one', async (t) => {
  const gateway = await Gateway.start(t);
  const real = gateway.renew;
  const slow = held();
  gateway.renew = slow.answer;
  const page = await opened(t, gateway);
  page.clock.advance(240_000);
  await gateway.until(() => gateway.count('renew') === 1);
  gateway.renew = real;
  assert.deepEqual(page.clock.waits, [20_000]);
  page.clock.advance(20_000);
  await renewals(gateway, 2);
  assert.deepEqual(page.clock.waits, [240_000]);
  slow.release({ status: 401 });
  await gateway.until(() => gateway.asked.every((a) => a.res.writableFinished));
  await settle();
  assert.deepEqual(page.clock.waits, [240_000]);
});

test('comes back with a new ticket when the gateway knows the session no more', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.renew = () => ({ status: 404 });
  const page = await opened(t, gateway);
  const old = gateway.live;
  page.clock.advance(240_000);
  await page.nth('status');
  assert.deepEqual(page.last, { code: 1006, reason: '', action: 'reconnect', in: 0 });
  page.clock.advance(0);
  await page.nth('open', 2);
  if (old.readyState < 3) await once(old, 'close'); // nor is it left behind
  page.clock.advance(240_000);
  await gateway.until(() => gateway.count('renew') === 2);
  assert.deepEqual(gateway.asked.at(-1).body, { session: 'h-2' });
});

test('R6: renews at once on waking up late, and not a moment before', async (t) => {
  class Target extends EventTarget {
    listening = new Set();
    addEventListener(type, listener) {
      this.listening.add(listener);
      super.addEventListener(type, listener);
    }
    removeEventListener(type, listener) {
      this.listening.delete(listener);
      super.removeEventListener(type, listener);
    }
  }
  globalThis.document = new Target();
  const online = new Target();
  for (const method of ['addEventListener', 'removeEventListener', 'dispatchEvent']) {
    globalThis[method] = online[method].bind(online);
  }
  t.after(() => {
    for (const name of ['document', 'addEventListener', 'removeEventListener', 'dispatchEvent']) delete globalThis[name];
  });
  const wakes = {
    visibilitychange: () => document.dispatchEvent(new Event('visibilitychange')),
    online: () => dispatchEvent(new Event('online')),
  };
  for (const [name, wake] of Object.entries(wakes)) {
    const gateway = await Gateway.start(t);
    gateway.upgrades = false;
    let refreshes = 0;
    const refresh = async () => {
      refreshes++;
      wake(); // in the middle of a renewal
      assert.equal(page.clock.timers.size, 0);
    };
    const page = new Page(t, gateway.url, { refresh });
    page.random = 0;
    wake(); // before there is anything to renew
    assert.deepEqual(page.clock.waits, [20_000]);
    await gateway.until(() => gateway.handshakes === 1);
    wake();
    assert.deepEqual(page.clock.waits, [20_000]);
    gateway.shake();
    await page.nth('open');
    page.clock.step(239_000);
    assert.deepEqual(page.clock.waits, [240_000], name); // stood still
    wake();
    assert.deepEqual(page.clock.waits, [1000], name);
    page.clock.step(3_600_000);
    wake();
    assert.deepEqual(page.clock.waits, [0], name);
    page.clock.advance(0);
    await renewals(gateway, 1);
    assert.deepEqual(page.clock.waits, [240_000], name);
    wake();
    wake();
    assert.deepEqual(page.clock.waits, [240_000], name);
    assert.equal(refreshes, 1);

    page.socket.close();
    await page.nth('close');
    wake();
    page.ended();
    assert.equal(document.listening.size + online.listening.size, 0);
  }
});

test('R6: renews in time though the clock was set back', async (t) => {
  const gateway = await Gateway.start(t);
  const page = await opened(t, gateway);
  page.clock.step(-3_600_000);
  page.clock.advance(240_000);
  await renewals(gateway, 1);
});

test('is cut in the middle of a renewal: only the new socket is renewed', async (t) => {
  const gateway = await Gateway.start(t);
  const slow = held();
  let fetches = 0;
  const page = await opened(t, gateway, { refresh: slow.answer, fetch: (...args) => fetches++ >= 0 && fetch(...args) });
  page.clock.advance(240_000);
  gateway.live.terminate();
  await page.nth('status');
  page.clock.advance(page.last.in);
  await page.nth('open', 2);
  page.clock.advance(240_000);
  slow.release();
  await renewals(gateway, 1);
  assert.deepEqual(gateway.asked.at(-1).body, { session: 'h-2' });
  assert.equal(fetches, 3); // two tickets, one renewal
});

test('expires in the middle of a renewal: one refresh, one new socket', async (t) => {
  const gateway = await Gateway.start(t);
  let refreshes = 0;
  let release;
  const refresh = () => {
    refreshes++;
    return new Promise((resolve) => (release = resolve));
  };
  const page = await opened(t, gateway, { refresh });
  page.clock.advance(240_000);
  await settle();
  gateway.live.close(3000, 'token_expired');
  await page.nth('status');
  page.clock.advance(page.last.in);
  await settle();
  assert.equal(refreshes, 1);
  release();
  await page.nth('open', 2);
  assert.equal(gateway.count('renew'), 0);
  assert.equal(gateway.count('ticket'), 2);
});
