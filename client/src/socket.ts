import { meaning, type End } from './ends.js';
import { ask, unsure, type Answer } from './gateway.js';
import type { Options, PortcullisEventMap, Status } from './options.js';
import { refreshed } from './refresh.js';

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

// All in ms.
const PATIENCE = 20_000; // for an answer of the gateway, ticket and handshake together
const SETTLED = 10_000; // a socket that lived this long starts the back-off over
const AT_ONCE = 1000; // and one that was closed sooner was never welcome
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const LONGEST_TIMER = 2 ** 31 - 1; // beyond it setTimeout fires at once

export interface PortcullisSocket {
  addEventListener<K extends keyof PortcullisEventMap>(
    type: K,
    listener: (this: PortcullisSocket, event: PortcullisEventMap[K]) => any,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof PortcullisEventMap>(
    type: K,
    listener: (this: PortcullisSocket, event: PortcullisEventMap[K]) => any,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

/**
 * A WebSocket that keeps its authorization and its connection. It is used as one:
 * `new PortcullisSocket(url, protocols)`. What differs: `readyState` goes back to
 * CONNECTING between connections, `open` comes with each of them, `close` once, at
 * the end for good, after `error` if that end was no clean close; `status` says
 * why a connection ended. Messages are neither queued nor replayed.
 */
export class PortcullisSocket extends EventTarget implements WebSocket {
  static readonly CONNECTING = CONNECTING;
  static readonly OPEN = OPEN;
  static readonly CLOSING = CLOSING;
  static readonly CLOSED = CLOSED;
  readonly CONNECTING = CONNECTING;
  readonly OPEN = OPEN;
  readonly CLOSING = CLOSING;
  readonly CLOSED = CLOSED;

  onopen: ((this: WebSocket, event: Event) => any) | null = null;
  onmessage: ((this: WebSocket, event: MessageEvent) => any) | null = null;
  onerror: ((this: WebSocket, event: Event) => any) | null = null;
  onclose: ((this: WebSocket, event: CloseEvent) => any) | null = null;
  onstatus: ((this: WebSocket, event: CustomEvent<Status>) => any) | null = null;

  /** The URL as given, made absolute; never with a ticket. */
  readonly url: string;

  readonly #protocols: string[];
  readonly #options: Options;
  readonly #endpoints: string;
  readonly #path: string; // decoded, as the gateway wants it

  #state = CONNECTING;
  #ws: WebSocket | undefined;
  #binaryType: BinaryType = 'blob';

  // Aborted when the connection, or the attempt at one, is over: whatever it still
  // waits for no longer counts.
  #life = new AbortController();

  // The one timer: of the attempt, of the wait for the next, or of the renewal.
  #timer: unknown;

  #tries = 0; // since a connection settled
  #opened = NaN; // when the socket opened, ms
  #fresh = false; // the attempt follows a refresh

  #session: unknown; // the handle by which to renew
  #until = 0; // when the authorization ends, ms of the wall clock
  #due = Infinity; // when to renew, likewise
  #renewals = 0; // tried since one succeeded

  /**
   * Throws a SyntaxError for a URL or protocols that WebSocket would refuse.
   */
  constructor(url: string | URL, protocols: string | string[] = [], options: Options = {}) {
    super();
    let u: URL;
    try {
      u = new URL(url, globalThis.location?.href);
      u.protocol = u.protocol.replace('http', 'ws');
      this.#path = decodeURIComponent(u.pathname);
    } catch {
      throw new DOMException('The URL is invalid', 'SyntaxError');
    }
    this.#protocols = [protocols].flat();
    if (
      !/^wss?:$/.test(u.protocol) ||
      u.hash ||
      new Set(this.#protocols).size < this.#protocols.length ||
      !this.#protocols.every((p) => /^[\w!#$%&'*+.^`|~-]+$/.test(p))
    ) {
      throw new DOMException('The URL or a protocol is invalid', 'SyntaxError');
    }
    this.url = u.href;
    this.#options = options;
    const base = options.base ?? new URL(u.href.replace('ws', 'http')).origin;
    this.#endpoints = base.replace(/\/$/, '') + '/.portcullis/';
    for (const type of ['open', 'message', 'error', 'close', 'status'] as const) {
      this.addEventListener(type, (event: any) => this[`on${type}`]?.(event));
    }
    globalThis.document?.addEventListener('visibilitychange', this.#plan);
    globalThis.addEventListener?.('online', this.#plan);
    this.#connect();
  }

  /** CONNECTING also while waiting to reconnect; CLOSED at the end for good. */
  get readyState(): 0 | 1 | 2 | 3 {
    return (this.#state === OPEN && this.#ws!.readyState > OPEN ? CLOSING : this.#state) as 0 | 1 | 2 | 3;
  }

  get protocol(): string {
    const p = this.#ws?.protocol ?? '';
    // The gateway answers the ticket's own offer if the backend chose nothing.
    return this.#options.subprotocol && p === 'ticket' ? '' : p;
  }

  get extensions(): string {
    return this.#ws?.extensions ?? '';
  }

  /** Of the current connection. What a lost one still held is lost. */
  get bufferedAmount(): number {
    return this.#ws?.bufferedAmount ?? 0;
  }

  get binaryType(): BinaryType {
    return this.#binaryType;
  }

  set binaryType(type: BinaryType) {
    this.#binaryType = type;
    if (this.#ws) this.#ws.binaryType = type;
  }

  /**
   * Sends data on the open connection. Throws InvalidStateError while CONNECTING,
   * between connections too; drops data when CLOSING or CLOSED.
   */
  send(data: string | ArrayBufferLike | Blob | ArrayBufferView<ArrayBuffer>): void {
    if (this.#state === CONNECTING) throw new DOMException('Not connected', 'InvalidStateError');
    if (this.#state === OPEN) this.#ws!.send(data as string);
  }

  /** Ends it for good: `close` follows, and nothing after that. */
  close(code?: number, reason = ''): void {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
      throw new DOMException('The code is neither 1000 nor from 3000 to 4999', 'InvalidAccessError');
    }
    if (new TextEncoder().encode(reason).length > 123) {
      throw new DOMException('The reason is longer than 123 bytes', 'SyntaxError');
    }
    const state = this.#state;
    if (state > OPEN) return;
    this.#state = CLOSING;
    this.#after(); // no renewal any more
    if (state === OPEN) {
      this.#ws!.close(code, reason);
    } else {
      this.#life.abort();
      queueMicrotask(() => this.#over(1006));
    }
  }

  async #connect(): Promise<void> {
    const { signal } = (this.#life = new AbortController());
    this.#due = Infinity;
    this.#after(PATIENCE, () => this.#over(1006));
    await null; // no event before the constructor has returned
    if (signal.aborted) return;
    const url = new URL(this.url);
    let protocols = this.#protocols;
    if (this.#options.ticket !== false) {
      const asked = this.#now();
      const answer = await this.#ask('ticket', { path: this.#path }, signal);
      if (signal.aborted) return;
      const { ticket } = answer;
      if (answer.status !== 200 || typeof ticket !== 'string') return this.#refused(answer);
      this.#session = answer.session;
      this.#granted(asked, answer);
      if (this.#options.subprotocol) protocols = ['ticket', ticket, ...protocols];
      else url.search += `${url.search && '&'}ticket=${encodeURIComponent(ticket)}`;
    }
    let ws: WebSocket;
    try {
      ws = new (this.#options.WebSocket ?? WebSocket)(url.href, protocols) as WebSocket;
    } catch {
      // The error's text may hold the ticket.
      return this.#over(1006, '', false, ['stop', 'A socket to this URL cannot be opened from here.']);
    }
    this.#ws = ws;
    ws.binaryType = this.#binaryType;
    ws.onopen = () => {
      if (signal.aborted) return;
      this.#state = OPEN;
      this.#opened = this.#now();
      this.#after();
      this.#plan();
      this.dispatchEvent(new Event('open'));
    };
    ws.onmessage = ({ data, origin }) => {
      if (this.#state !== OPEN || signal.aborted) return;
      this.dispatchEvent(new MessageEvent('message', { data, origin }));
    };
    ws.onerror = () => {}; // its text may hold the ticket; close follows
    ws.onclose = ({ code, reason, wasClean }) => {
      if (!signal.aborted) this.#over(code, reason, wasClean);
    };
  }

  // Tells what a refused ticket means in the terms of a close.
  #refused(answer: Answer): void {
    const { status, after } = answer;
    if (status === 401) this.#over(3000, 'unauthorized');
    else if (status === 403) this.#over(3003, 'forbidden');
    else if (status === 200 || !status) this.#over(1006);
    else if (unsure(answer)) this.#over(1013, 'unavailable', false, undefined, after);
    else this.#over(1006, '', false, ['stop', `The gateway gives no tickets here (${status}).`]);
  }

  // Notes until when the authorization is good, and when to renew it: 30 s before,
  // or after 80 %, whichever is first, but not in the first half. Spread, since
  // many sockets open together when a service comes back.
  #granted(asked: number, answer: Answer): void {
    const ms = Number(answer.valid_for) * 1000;
    this.#renewals = 0;
    this.#until = asked + ms;
    this.#due = this.#session
      ? asked + Math.max(1000, ms / 2, Math.min(ms - 30_000, ms * 0.8)) * (1 - this.#random() / 10)
      : Infinity;
  }

  // Sets the timer to when renewal is due. Anew when the page wakes up: timers may
  // have stood still since, which the wall clock has not.
  readonly #plan = (): void => {
    if (this.#state === OPEN && this.#due < this.#until) this.#after(this.#due - this.#now(), () => this.#renew());
  };

  async #renew(): Promise<void> {
    const { signal } = this.#life;
    const turn = ++this.#renewals;
    const over = () => signal.aborted || this.#state !== OPEN || turn !== this.#renewals;
    this.#due = Infinity;
    // Without a fresh token, and where the answer is no: the gateway will close.
    if (turn === 1 && !(await refreshed(this.#options.refresh))) return;
    if (over()) return;
    const asked = this.#now();
    this.#due = asked + PATIENCE; // should no answer come
    this.#plan();
    const answer = await this.#ask('renew', { session: this.#session }, signal);
    if (over()) return;
    this.#after();
    if (answer.status === 404) return this.#over(1006, '', false, ['reconnect', 'The gateway knows this session no more.']);
    if (answer.status === 200) this.#granted(asked, answer);
    else this.#due = unsure(answer) ? this.#now() + answer.after + this.#wait(turn) : Infinity;
    this.#plan();
  }

  // Ends the connection, or the attempt at one, and does what follows from it.
  #over(code: number, reason = '', wasClean = false, [action, text]: End = meaning(code, reason), after = 0): void {
    const { refresh } = this.#options;
    const lived = this.#now() - this.#opened; // NaN: never open
    this.#opened = NaN;
    if (lived >= SETTLED) this.#tries = 0;
    // Refused, or closed as it opened (accept_then_close): no better with a fresh token.
    const useless = this.#fresh && !(Math.abs(lived) >= AT_ONCE);
    this.#fresh = false;
    this.#life.abort();
    this.#ws?.close();

    if (this.#state === CLOSING) [action, text] = ['stop', 'Closed from here.'];
    else if (action === 'renew' && (useless || (!refresh && reason === 'unauthorized'))) {
      [action, text] = ['stop', 'The gateway does not take the token. Log in again.'];
    }
    if (action === 'stop') {
      this.#state = CLOSED;
      this.#after();
      globalThis.document?.removeEventListener('visibilitychange', this.#plan);
      globalThis.removeEventListener?.('online', this.#plan);
      this.#tell({ code, reason, action, text });
      if (!wasClean) this.dispatchEvent(new Event('error'));
      this.dispatchEvent(Object.assign(new Event('close'), { code, reason, wasClean })); // Node has no CloseEvent before 23
      return;
    }
    this.#state = CONNECTING;
    const renew = action === 'renew';
    const ms = renew && !this.#tries ? 0 : after + this.#wait(this.#tries);
    this.#tries++;
    this.#after(ms, async () => {
      const { signal } = (this.#life = new AbortController());
      if (renew) {
        const good = await refreshed(refresh);
        if (signal.aborted) return;
        if (!good) return this.#over(code, reason, wasClean, ['stop', 'There is no fresh token. Log in again.']);
        this.#fresh = true;
      }
      this.#connect();
    });
    this.#tell({ code, reason, action, in: ms, text });
  }

  #tell(detail: Status): void {
    this.dispatchEvent(new CustomEvent('status', { detail }));
  }

  #ask(endpoint: string, body: object, signal: AbortSignal): Promise<Answer> {
    return ask(this.#endpoints + endpoint, body, this.#options, signal);
  }

  // Calls call in ms, instead of what the timer was set to; without arguments,
  // only stops the timer.
  #after(ms = 0, call?: () => void): void {
    (this.#options.clearTimeout ?? clearTimeout)(this.#timer as number);
    this.#timer = call && (this.#options.setTimeout ?? setTimeout)(call, Math.min(Math.max(ms, 0), LONGEST_TIMER));
  }

  #wait(tries: number): number {
    return this.#random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** tries);
  }

  #random(): number {
    return (this.#options.random ?? Math.random)();
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}
