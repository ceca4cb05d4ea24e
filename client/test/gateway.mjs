// A gateway for the tests: tickets, renewal and sockets, over real HTTP. What it
// answers can be set; what it was asked is kept.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

export class Gateway {
  asked = []; // {endpoint, body, headers} of each POST
  opened = []; // {url, protocols, ws} of each socket
  validFor = 300;
  upgrades = true; // false: a handshake is left unanswered till shake is called
  onsocket = () => {}; // called with each new socket
  #tickets = 0;
  #waiting = [];

  // Answers to POSTs: {status, headers, body}, or a promise of it.
  ticket = () => {
    const n = ++this.#tickets;
    return { status: 200, body: { ticket: `secret+ticket/${n}`, expires_in: 30, session: `h-${n}`, valid_for: this.validFor } };
  };
  renew = () => ({ status: 200, body: { valid_for: this.validFor } });

  static async start(t) {
    const g = new Gateway();
    g.server = createServer((req, res) => g.#answer(req, res));
    const sockets = new WebSocketServer({
      noServer: true,
      handleProtocols: (offered) => ([...offered][0] === 'ticket' && offered.size > 2 ? [...offered][2] : [...offered][0]),
    });
    g.server.on('upgrade', (req, socket, head) => {
      socket.on('error', () => {});
      g.handshakes = (g.handshakes ?? 0) + 1;
      g.#look();
      g.shake = () =>
        sockets.handleUpgrade(req, socket, head, (ws) => {
          ws.on('error', () => {});
          g.opened.push({ url: req.url, protocols: req.headers['sec-websocket-protocol'], ws });
          g.onsocket(ws);
          g.#look();
        });
      if (g.upgrades) g.shake();
    });
    g.server.listen(0, '127.0.0.1');
    await once(g.server, 'listening');
    g.origin = `http://127.0.0.1:${g.server.address().port}`;
    g.url = `${g.origin.replace('http', 'ws')}/wsapi/`;
    t.after(() => g.stop());
    return g;
  }

  stop() {
    for (const { ws } of this.opened) ws.terminate();
    this.server.closeAllConnections();
    this.server.close();
  }

  // live is the latest socket's other end.
  get live() {
    return this.opened.at(-1).ws;
  }

  // until waits until test() holds; it is looked at whenever something happens here.
  until(test) {
    return new Promise((resolve) => {
      this.#waiting.push({ test, resolve });
      this.#look();
    });
  }

  count(endpoint) {
    return this.asked.filter((a) => a.endpoint === endpoint).length;
  }

  #look() {
    const ready = this.#waiting.filter(({ test }) => test());
    this.#waiting = this.#waiting.filter((w) => !ready.includes(w));
    for (const { resolve } of ready) resolve();
  }

  async #answer(req, res) {
    res.on('close', () => this.#look());
    let body = '';
    for await (const part of req) body += part;
    const endpoint = req.url.split('/').pop();
    this.asked.push({ path: req.url, method: req.method, endpoint, body: JSON.parse(body), headers: req.headers, res });
    this.#look();
    const answer = await this[endpoint](this.asked.at(-1));
    const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? {});
    res.writeHead(answer.status, { 'Content-Type': 'application/json', ...answer.headers });
    res.end(text);
  }
}

// held is an answer that waits for its release.
export function held() {
  let release;
  const answer = new Promise((resolve) => (release = resolve));
  return { answer: () => answer, release };
}
