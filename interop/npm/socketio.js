// Socket.IO, told by a test what to do (see commands.js). One such program is the
// backend, another one the client.
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { io as connect } from 'socket.io-client'
import { commands, Diary } from './commands.js'

const sha256 = (data) => createHash('sha256').update(data).digest('hex')

const connected = new Diary() // what the backend learns about who comes
const left = new Diary() // and about who goes

// listen starts the backend: rooms, and an echo.
async function listen(options) {
  const server = createServer()
  const io = new Server(server, options)
  io.on('connection', (socket) => {
    const { headers, url, auth } = socket.handshake
    const user = headers['x-forwarded-user']
    connected.write({ headers, url, auth })
    socket.on('join', async (room, joined) => {
      await socket.join(room)
      joined(room)
    })
    socket.on('say', (room, text, said) => {
      io.to(room).emit('said', { user, text })
      said(true)
    })
    socket.on('echo', (value, echo) => echo(value))
    socket.on('disconnect', () => left.write({ user }))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}` }
}

const clients = new Map() // by name

// open opens a connection; what becomes of it is said by outcome.
function open({ name, url, ...options }) {
  const socket = connect(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100, ...options })
  const client = { socket, outcomes: new Diary(), ends: new Diary(), said: new Diary() }
  const transport = () => socket.io.engine.transport.name
  socket.on('connect', () => client.outcomes.write({ transport: transport() }))
  socket.on('connect_error', (err) =>
    client.outcomes.write({ status: Number(err.description?.message?.match(/\d+$/) ?? err.description) || 0 }),
  )
  socket.on('disconnect', (reason, why) =>
    client.ends.write({
      reason,
      code: why?.context?.code ?? 0,
      word: why?.context?.reason ?? '',
      status: typeof why?.description === 'number' ? why.description : 0,
    }),
  )
  socket.on('said', (what) => client.said.write(what))
  clients.set(name, client)
}

// reach waits until that transport is used.
async function reach({ name, transport }) {
  const { engine } = clients.get(name).socket.io
  while (engine.transport.name !== transport) await new Promise((resolve) => engine.once('upgrade', resolve))
}

// binary has the backend echo bytes, in the middle of something else.
async function binary({ name, size }) {
  const data = randomBytes(size)
  const echo = await clients.get(name).socket.emitWithAck('echo', { before: 'é', data, after: [data.subarray(0, 5)] })
  return { same: sha256(echo.data) === sha256(data) && echo.before === 'é' && data.subarray(0, 5).equals(echo.after[0]) }
}

commands({
  listen,
  connected: async () => (await connected.read())[0],
  left: async () => (await left.read())[0],

  open,
  reach,
  binary,
  outcome: async ({ name }) => (await clients.get(name).outcomes.read())[0],
  end: async ({ name }) => (await clients.get(name).ends.read())[0],
  said: async ({ name }) => (await clients.get(name).said.read())[0],
  ask: ({ name, event, args }) => clients.get(name).socket.emitWithAck(event, ...args),
  // From now on it comes with these headers.
  carry: ({ name, extraHeaders }) => void (clients.get(name).socket.io.opts.extraHeaders = extraHeaders),
  close: ({ name }) => void clients.get(name).socket.close(),
})
