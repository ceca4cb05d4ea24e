// One socket to the hall at a time, and what becomes of it. This is the only
// file that touches the token, and it hands it to nobody but the browser's own
// WebSocket.

import { PortcullisSocket } from './portcullis-client.js';

const COOKIE = 'session';
const LONG_ENOUGH = 10_000; // ms open before the back-off starts over

const ways = {
  cookie: {
    path: '/wsapi/cookie/',
    needsToken: false,
    open: (url) => new WebSocket(url),
  },
  query: {
    path: '/wsapi/query/',
    needsToken: true,
    open: (url, token) => {
      url.searchParams.set('token', token);
      return new WebSocket(url);
    },
  },
  subprotocol: {
    path: '/wsapi/subprotocol/',
    needsToken: true,
    open: (url, token) => new WebSocket(url, ['bearer', token]),
  },
  // This one keeps itself: it fetches tickets, renews and comes back.
  ticket: {
    path: '/wsapi/ticket/',
    needsToken: false,
    open: (url, _, refresh) => new PortcullisSocket(url, [], { refresh }),
  },
};

function token() {
  for (const pair of document.cookie.split('; ')) {
    if (pair.startsWith(COOKIE + '=')) return pair.slice(COOKIE.length + 1);
  }
  return '';
}

export function address(way) {
  const url = new URL(ways[way].path, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}

// Socket tells its story through these callbacks, all of them required:
//
//   onstate(state)          "connecting", "open", "waiting" (for the next try),
//                           "closed" or "refused"
//   onevent(event)          what the hall said
//   judge(close)            returns a promise of what an end means:
//                           {code, reason, text, hint, next};
//                           close is {code, reason, opened}
//   onverdict(verdict, wait) the end; wait is ms until the next try, or null
//   refresh()               has the login system issue a fresh token; returns a
//                           promise of whether it did
export class Socket {
  #on;
  #ws = null;
  #turn = 0; // what an older socket still has to say no longer counts
  #timer = 0;
  #tries = 0;
  #way = 'cookie';

  constructor(callbacks) {
    this.#on = callbacks;
  }

  get open() {
    return this.#ws?.readyState === WebSocket.OPEN;
  }

  // connect leaves whatever socket there is and opens one this way.
  connect(way = this.#way) {
    this.#way = way;
    this.#tries = 0;
    this.#start();
  }

  send(text) {
    if (this.open) this.#ws.send(JSON.stringify({ text }));
  }

  #start() {
    const turn = ++this.#turn;
    const current = () => turn === this.#turn;
    clearTimeout(this.#timer);
    this.#ws?.close(1000);
    this.#ws = null;
    this.#on.onstate('connecting');

    const way = ways[this.#way];
    const secret = way.needsToken ? token() : '';
    if (way.needsToken && !secret) {
      this.#end({ code: null, reason: 'no_cookie', opened: false }, current);
      return;
    }
    let ws;
    try {
      ws = way.open(address(this.#way), secret, () => this.#on.refresh());
    } catch {
      // The error's text would hold the token.
      this.#end({ code: null, reason: 'not_carried', opened: false }, current);
      return;
    }
    this.#ws = ws;
    let opened = 0;
    ws.onopen = () => {
      if (!current()) return;
      opened = performance.now();
      this.#on.onstate('open');
    };
    ws.onmessage = (e) => {
      if (current()) this.#on.onevent(JSON.parse(e.data));
    };
    ws.onstatus = async ({ detail }) => {
      if (!current() || detail.action === 'stop') return; // then onclose follows
      const verdict = await this.#on.judge({ ...detail, opened: opened > 0 });
      if (!current() || ws.readyState === WebSocket.OPEN) return;
      this.#on.onstate('waiting');
      this.#on.onverdict({ ...verdict, next: 'retry' }, detail.in ?? 0);
    };
    ws.onclose = (e) => {
      if (!current()) return;
      this.#ws = null;
      if (opened && performance.now() - opened > LONG_ENOUGH) this.#tries = 0;
      this.#end({ code: e.code, reason: e.reason, opened: opened > 0 }, current);
    };
  }

  async #end(close, current) {
    const verdict = await this.#on.judge(close);
    if (!current()) return;
    if (verdict.next !== 'retry') {
      this.#on.onstate(close.opened ? 'closed' : 'refused');
      this.#on.onverdict(verdict, null);
      return;
    }
    const wait = Math.min(30_000, 1000 * 2 ** this.#tries++) * (0.75 + Math.random() / 2);
    this.#on.onstate('waiting');
    this.#on.onverdict(verdict, wait);
    this.#timer = setTimeout(() => this.#start(), wait);
  }
}
