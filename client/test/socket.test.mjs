// That it is a WebSocket to whoever uses it as one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { PortcullisSocket } from '../dist/portcullis-client.js';
import { Gateway } from './gateway.mjs';
import { Page, settle } from './page.mjs';

test('has the constants of a WebSocket', () => {
  for (const [i, name] of ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'].entries()) {
    assert.equal(PortcullisSocket[name], i);
  }
});

test('opens, carries text and binary messages both ways, and closes', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.onsocket = (ws) => ws.on('message', (data, binary) => ws.send(data, { binary }));
  const page = new Page(t, gateway.url, {}, ['chat', 'other']);
  const { socket } = page;
  assert.equal(socket.CLOSED, 3);
  assert.equal(socket.readyState, 0);
  assert.equal(socket.url, gateway.url);
  assert.equal(socket.protocol, '');
  assert.equal(socket.extensions, '');
  assert.equal(socket.bufferedAmount, 0);
  assert.equal(socket.binaryType, 'blob');

  await page.nth('open');
  assert.equal(socket.readyState, 1);
  assert.equal(socket.protocol, 'chat');
  assert.equal(gateway.opened[0].protocols, 'chat,other');
  socket.send('hello');
  assert.equal((await page.nth('message')).data, 'hello');
  socket.send(new Uint8Array([1, 2]));
  const blob = (await page.nth('message', 2)).data;
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), new Uint8Array([1, 2]));
  socket.binaryType = 'arraybuffer';
  socket.send(new Uint8Array([3]));
  assert.deepEqual((await page.nth('message', 3)).data, new Uint8Array([3]).buffer);

  const told = new Promise((resolve) => gateway.live.once('close', (code, reason) => resolve([code, `${reason}`])));
  socket.close(4001, 'enough');
  assert.equal(socket.readyState, 2);
  const { code, reason, wasClean } = await page.nth('close');
  assert.deepEqual([code, reason, wasClean], [4001, 'enough', true]);
  assert.deepEqual(await told, [4001, 'enough']);
  assert.deepEqual(page.last, { code: 4001, reason: 'enough', action: 'stop' });
  assert.deepEqual(page.names, ['open', 'message', 'message', 'message', 'status', 'close']);
  socket.send('into the void');
  socket.close();
  await settle();
  page.ended();
  assert.equal(gateway.opened.length, 1);
});

test('keeps binaryType from one connection to the next', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  page.socket.binaryType = 'arraybuffer';
  for (const n of [1, 2]) {
    await page.nth('open', n);
    gateway.live.send(new Uint8Array([n]));
    assert.deepEqual((await page.nth('message', n)).data, new Uint8Array([n]).buffer);
    gateway.live.close(1012);
    await page.nth('status', n);
    page.clock.advance(page.last.in);
  }
});

test('calls the on… handlers, and no longer once they are taken away', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, gateway.url);
  const { socket } = page;
  const called = [];
  for (const type of ['open', 'message', 'error', 'close', 'status']) {
    assert.equal(socket[`on${type}`], null);
    socket[`on${type}`] = function (event) {
      assert.equal(this, socket);
      called.push(event.type);
    };
  }
  await page.nth('open');
  socket.onopen = null;
  gateway.live.send('x');
  await page.nth('message');
  gateway.live.terminate();
  await page.nth('status');
  page.clock.advance(page.last.in);
  await page.nth('open', 2);
  gateway.ticket = () => ({ status: 403 });
  gateway.live.close(1012);
  await page.nth('status', 2);
  page.clock.advance(page.last.in);
  await page.nth('close');
  assert.deepEqual(called, ['open', 'message', 'status', 'status', 'status', 'error', 'close']);
});

test('send throws while there is no connection, and queues nothing', async (t) => {
  const gateway = await Gateway.start(t);
  gateway.onsocket = (ws) => ws.on('message', (data) => ws.send(`${data}`));
  const page = new Page(t, gateway.url);
  const refused = () => assert.throws(() => page.socket.send('lost'), { name: 'InvalidStateError' });
  refused();
  await page.nth('open');
  gateway.live.close(1012);
  await page.nth('status');
  assert.equal(page.socket.readyState, 0);
  refused();
  page.clock.advance(page.last.in);
  await page.nth('open', 2);
  page.socket.send('kept');
  assert.equal((await page.nth('message')).data, 'kept');
});

test('close refuses the codes and reasons that WebSocket refuses', async (t) => {
  const gateway = await Gateway.start(t);
  const { socket } = new Page(t, gateway.url);
  for (const code of [0, 999, 1001, 1006, 2999, 5000]) {
    assert.throws(() => socket.close(code), { name: 'InvalidAccessError' }, `${code}`);
  }
  assert.throws(() => socket.close(1000, 'é'.repeat(62)), { name: 'SyntaxError' });
  assert.equal(socket.readyState, 0);
  socket.close(1000, 'é'.repeat(61));
  assert.equal(socket.readyState, 2);
});

test('A1: refuses a wrong URL or protocol at once, without repeating it', () => {
  const wrong = [
    ['nonsense secret'],
    ['ftp://example.com/secret'],
    ['ws://example.com/secret%zz'],
    ['ws://example.com/#secret'],
    ['ws://example.com/', ['secret', 'secret']],
    ['ws://example.com/', 'a secret'],
    ['ws://example.com/', ['']],
  ];
  for (const args of wrong) {
    assert.throws(
      () => new PortcullisSocket(...args),
      (err) => err.name === 'SyntaxError' && err instanceof DOMException && !/secret/.test(err.message),
      `${args}`,
    );
  }
});

test('takes a URL relative to the page', async (t) => {
  const gateway = await Gateway.start(t);
  globalThis.location = new URL(`${gateway.origin}/page/?x=1`);
  t.after(() => delete globalThis.location);
  const page = new Page(t, '/wsapi/');
  assert.equal(page.socket.url, gateway.url);
  await page.nth('open');
});

test('takes http and https URLs as ws and wss', async (t) => {
  const gateway = await Gateway.start(t);
  const page = new Page(t, `${gateway.origin}/wsapi/?a=b`);
  assert.equal(page.socket.url, `${gateway.url}?a=b`);
  await page.nth('open');
  const asked = [];
  const fetch = (url) => asked.push(url) && new Promise(() => {});
  new Page(t, new URL('https://example.com/x'), { fetch });
  new Page(t, 'wss://example.com:8443/x', { fetch });
  await settle();
  assert.deepEqual(asked, ['https://example.com/.portcullis/ticket', 'https://example.com:8443/.portcullis/ticket']);
});
