// npm ws, told by a test what to do (see commands.js). One such program is the
// backend, another one the client; their two ends of a socket have the same name.
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { createServer as createTLSServer } from 'node:https'
import { setTimeout } from 'node:timers/promises'
import WebSocket, { WebSocketServer } from 'ws'
import { commands, Diary } from './commands.js'

const ends = new Map() // by name
const sha256 = (data) => createHash('sha256').update(data).digest('hex')

// keep writes down what happens to an end of a socket.
function keep(name, ws, connection) {
  const end = { ws, connection, messages: new Diary(), pings: new Diary(), pongs: new Diary(), closes: new Diary() }
  ws.on('message', (data, binary) => end.messages.write({ binary, size: data.length, hash: sha256(data) }))
  ws.on('ping', (payload) => end.pings.write(`${payload}`))
  ws.on('pong', (payload) => end.pongs.write(`${payload}`))
  ws.on('error', () => {}) // "close" follows
  ws.on('close', (code, reason) => end.closes.write({ code, reason: `${reason}` }))
  ends.set(name, end)
}

const extensionsOf = (lines) => lines.find((line) => line.startsWith('Sec-WebSocket-Extensions: '))?.slice(26) ?? ''

const arrivals = new Diary()
let connections = 0 // that came to the backend
const inner = new Map() // those below TLS, by the client's port

// listen starts the backend. Of the subprotocols that it is offered it takes the
// one that is told.
async function listen({ tls, perMessageDeflate = false, subprotocol }) {
  const server = tls ? createTLSServer(tls) : createServer()
  const handleProtocols = (offered) => (offered.has(subprotocol) ? subprotocol : false)
  const wss = new WebSocketServer({ server, perMessageDeflate, handleProtocols })
  wss.on('headers', (lines, req) => (req.extensions = extensionsOf(lines)))
  wss.on('connection', (ws, req) => {
    const name = new URL(req.url, 'http://backend').pathname.split('/').pop()
    keep(name, ws, req.socket)
    arrivals.write({ name, url: req.url, headers: req.headers, extensions: req.extensions, subprotocol: ws.protocol })
  })
  server.on('connection', (socket) => {
    connections++
    inner.set(socket.remotePort, socket)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http${tls ? 's' : ''}://127.0.0.1:${server.address().port}` }
}

// open opens a socket, unless it is refused: then it says the status.
function open({ name, url, subprotocols = [], ...options }) {
  return new Promise((resolve, reject) => {
    let offer, answer
    const ws = new WebSocket(url, subprotocols, {
      perMessageDeflate: false,
      ...options,
      finishRequest: (req) => {
        offer = req.getHeader('sec-websocket-extensions') ?? ''
        req.end()
      },
    })
    ws.on('upgrade', (res) => {
      answer = res.headers['sec-websocket-extensions'] ?? ''
      keep(name, ws, res.socket)
    })
    ws.on('open', () => resolve({ status: 101, offer, extensions: answer, subprotocol: ws.protocol }))
    ws.on('unexpected-response', (_, res) => {
      res.resume()
      resolve({ status: res.statusCode })
    })
    ws.on('error', reject)
  })
}

// make makes a message: of random bytes, or of text in which there are characters
// of several bytes; or of a short piece that repeats.
function make(size, binary, repeats) {
  const piece = randomBytes(repeats ? 32 : Math.min(size, 1_000_003))
  const data = Buffer.alloc(size, binary ? piece : `€😀${piece.toString('hex')}`)
  return binary ? data : Buffer.from(data.toString()) // without half a character at its end
}

// digest says what so many messages were, in their order.
const digest = (messages) => ({
  count: messages.length,
  bytes: messages.reduce((sum, { size }) => sum + size, 0),
  hash: sha256(messages.map(({ binary, size, hash }) => `${binary} ${size} ${hash}\n`).join('')),
})

// send sends messages without waiting between them, each as so many frames, with
// a ping after each but the last. Where the kind isn't told it alternates.
async function send({ name, count = 1, size = 0, binary, repeats, fragments = 1 }) {
  const { ws } = ends.get(name)
  const sent = []
  const written = []
  for (let i = 0; i < count; i++) {
    const kind = binary ?? i % 2 === 0
    const data = make(size, kind, repeats)
    sent.push({ binary: kind, size: data.length, hash: sha256(data) })
    for (let f = 0; f < fragments; f++) {
      const part = data.subarray((data.length * f) / fragments, (data.length * (f + 1)) / fragments)
      const fin = f === fragments - 1
      written.push(
        new Promise((resolve, reject) =>
          ws.send(part, { binary: kind, fin, compress: true }, (err) => (err ? reject(err) : resolve())),
        ),
      )
      if (!fin) ws.ping(`${f}`)
    }
  }
  await Promise.all(written)
  return digest(sent)
}

commands({
  listen,
  open,
  send,
  connections: () => connections,
  accepted: async () => (await arrivals.read())[0],
  receive: async ({ name, count }) => digest(await ends.get(name).messages.read(count)),
  pings: ({ name, count }) => ends.get(name).pings.read(count),
  pongs: ({ name, count }) => ends.get(name).pongs.read(count),
  unread: ({ name }) => ends.get(name).messages.size,
  closed: async ({ name }) => (await ends.get(name).closes.read())[0],
  // What came over the wire, in bytes.
  read: ({ name }) => ends.get(name).connection.bytesRead,

  ping: ({ name, payload }) => ends.get(name).ws.ping(payload),
  pong: ({ name, payload }) => ends.get(name).ws.pong(payload),
  close: ({ name, code, reason }) => ends.get(name).ws.close(code, reason),
  terminate: ({ name }) => ends.get(name).ws.terminate(),
  // A FIN without a Close frame.
  finish: ({ name }) => void ends.get(name).connection.end(),
  // It goes in the middle of a frame, if that is too large for all buffers, and of
  // a message anyway.
  breakOff: ({ name, size }) => {
    const { ws } = ends.get(name)
    ws.send(Buffer.alloc(size), { fin: false })
    ws.terminate()
  },
  // It doesn't read any more.
  pause: ({ name }) => ends.get(name).ws.pause(),
  resume: ({ name }) => ends.get(name).ws.resume(),
  // Its connection breaks, when all buffers have had time to fill.
  reset: async ({ name }) => {
    await setTimeout(200)
    const { connection } = ends.get(name)
    ;(inner.get(connection.remotePort) ?? connection).resetAndDestroy()
  },
})
