// Loaded before examples/node-ws/server.js, it prints how each of its sockets
// ended, a line of JSON for each: whose it was, and the Close that ws received.
import { createRequire } from 'node:module'

const { WebSocketServer } = createRequire(`${process.cwd()}/`)('ws') // the backend's own
const { handleUpgrade } = WebSocketServer.prototype
WebSocketServer.prototype.handleUpgrade = function (req, socket, head, upgraded) {
  handleUpgrade.call(this, req, socket, head, (ws) => {
    ws.on('close', (code, reason) =>
      console.log(JSON.stringify({ user: req.headers['x-forwarded-user'], code, reason: `${reason}` })),
    )
    upgraded(ws)
  })
}
