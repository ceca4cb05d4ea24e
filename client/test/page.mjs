// What a test needs of a page: a socket on a clock of its own, and every event kept.
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { PortcullisSocket } from '../dist/portcullis-client.js';
import { Clock } from './clock.mjs';

const types = ['open', 'message', 'error', 'close', 'status'];

export class Page {
  clock = new Clock();
  events = []; // in order
  random = 0.5;
  #waiting = [];

  constructor(t, url, options = {}, protocols = undefined) {
    const { clock } = this;
    this.socket = new PortcullisSocket(url, protocols, {
      WebSocket,
      now: clock.now,
      setTimeout: clock.setTimeout,
      clearTimeout: clock.clearTimeout,
      random: () => this.random,
      ...options,
    });
    for (const type of types) {
      this.socket.addEventListener(type, (event) => {
        assert.equal(this.closed, false, `${type} after close`);
        this.events.push(event);
        this.#look();
      });
    }
    t.after(() => this.socket.close());
  }

  get closed() {
    return this.all('close').length > 0;
  }

  all(type) {
    return this.events.filter((e) => e.type === type);
  }

  get names() {
    return this.events.map((e) => e.type);
  }

  // last is the detail of the latest status, without its text.
  get last() {
    const { text, ...rest } = this.all('status').at(-1).detail;
    assert.match(text, /^[A-Z].*\.$/);
    return rest;
  }

  // nth waits for the nth event of a type and returns it.
  async nth(type, n = 1) {
    await this.until(() => this.all(type).length >= n);
    return this.all(type)[n - 1];
  }

  until(test) {
    return new Promise((resolve) => {
      this.#waiting.push({ test, resolve });
      this.#look();
    });
  }

  #look() {
    const ready = this.#waiting.filter(({ test }) => test());
    this.#waiting = this.#waiting.filter((w) => !ready.includes(w));
    for (const { resolve } of ready) resolve();
  }

  // ended checks that it is over for good and that nothing is left.
  ended() {
    assert.equal(this.socket.readyState, 3);
    assert.equal(this.all('close').length, 1);
    assert.equal(this.names.at(-1), 'close');
    assert.equal(this.clock.timers.size, 0);
  }
}

// settle lets everything run that is ready to.
export async function settle() {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}
