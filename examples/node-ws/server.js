// The demo's backend in Node: an API call and a chat. The gateway lets nobody
// through whom it cannot vouch for, and says in request headers who it is.
import { createServer, STATUS_CODES } from 'node:http';
import { WebSocketServer } from 'ws';

// user is whom the gateway vouches for, or null if it did not send this request.
function user(req) {
  try {
    const subject = decodeURIComponent(req.headers['x-forwarded-user'] ?? '');
    const name = decodeURIComponent(req.headers['x-forwarded-preferred-username'] ?? '') || subject;
    const userinfo = JSON.parse(req.headers['x-portcullis-userinfo']);
    return subject && userinfo ? { subject, name, userinfo } : null;
  } catch {
    return null;
  }
}

const server = createServer((req, res) => {
  const me = user(req);
  const found = req.method === 'GET' && req.url.split('?')[0] === '/api/me';
  res.writeHead(!me ? 500 : found ? 200 : 404, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  res.end(JSON.stringify(!me ? { error: 'not_behind_gateway' } : found ? me : { error: 'not_found' }));
});

const chat = new WebSocketServer({ noServer: true, maxPayload: 4096 });
const tell = (event) => {
  for (const ws of chat.clients) {
    if (ws.bufferedAmount > 1 << 20) ws.terminate(); // reads too slowly
    else ws.send(JSON.stringify(event));
  }
};

server.on('upgrade', (req, socket, head) => {
  socket.on('error', () => socket.destroy());
  const me = user(req);
  const path = req.url.split('?')[0];
  if (!me || !path.startsWith('/wsapi/')) {
    const status = me ? 404 : 500;
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    return;
  }
  chat.handleUpgrade(req, socket, head, (ws) => {
    const event = (type, more) => ({ type, name: me.name, subject: me.subject, path, time: new Date(), ...more });
    ws.on('error', () => {}); // "close" follows
    ws.on('close', () => tell(event('leave')));
    ws.on('message', (data) => {
      try {
        tell(event('message', { text: JSON.parse(data).text.trim() })); // only the text is theirs
      } catch {
        ws.close(1007, 'bad_message');
      }
    });
    tell(event('join'));
  });
});

server.listen(process.env.PORT || 0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => {
  for (const ws of chat.clients) ws.close(1012, 'shutdown');
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 1000).unref();
});
