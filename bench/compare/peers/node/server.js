// What one does without a proxy: the backend asks the token system by itself, in
// verifyClient, and remembers the answers. It answers what the others pass on.
import { Agent, createServer, request } from 'node:http';
import { WebSocketServer } from 'ws';

const [listen, tokens] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const answers = new Map(); // by token; a real one would forget some

function introspect(token, done) {
  const known = answers.get(token);
  if (known && Date.now() < known.until) return done(null, known);
  const body = `token=${encodeURIComponent(token)}`;
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': body.length };
  request(`http://${tokens}/introspect`, { agent, method: 'POST', headers }, (res) => {
    let text = '';
    res.setEncoding('utf8').on('data', (part) => { text += part; }).on('end', () => {
      try {
        const answer = { ...JSON.parse(text), until: Date.now() + 300_000 };
        answers.set(token, answer);
        done(null, answer);
      } catch (err) {
        done(err);
      }
    });
  }).on('error', done).end(body);
}

const tokenOf = (req) => (req.headers.authorization ?? '').replace(/^Bearer /, '');
const json = JSON.stringify({ id: 4711, name: "a backend's answer", items: [1, 2, 3, 4, 5, 6, 7, 8], note: 'one hundred bytes of JSON' });

const server = createServer((req, res) => introspect(tokenOf(req), (err, user) => {
  const status = err ? 503 : user.active ? 200 : 401;
  const body = status === 200 ? json : '{}';
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length });
  res.end(body);
}));
server.keepAliveTimeout = 0;

const sockets = new WebSocketServer({
  server,
  verifyClient: (info, done) => introspect(tokenOf(info.req), (err, user) => {
    done(!err && user.active === true, err ? 503 : 401);
  }),
});
const pushed = new Set();
const small = Buffer.alloc(64);
const batch = 64; // large messages, until a sink says that it has them

sockets.on('connection', (ws, req) => {
  ws.on('error', () => {}); // "close" follows
  if (req.url === '/push') {
    pushed.add(ws);
    ws.on('close', () => pushed.delete(ws));
    ws.on('message', () => { for (const to of pushed) to.send(small); });
  } else if (req.url === '/sink') {
    let n = 0;
    ws.on('message', () => { if (++n % batch === 0) ws.send(Buffer.alloc(0)); });
  } else {
    ws.on('message', (data) => ws.send(data));
  }
});

const [host, port] = listen.split(':');
server.listen({ host, port: Number(port), backlog: 4096 });
process.on('SIGTERM', () => process.exit(0));
