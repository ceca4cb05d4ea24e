// npm oidc-provider as the token system of the interop tests, on loopback. It
// prints one line of JSON when it is ready, and ends when its input does.
//
//   JWKS_URI        where the public key of the client gateway-key is
//   GATEWAY_SECRET  that of the clients gateway and gateway-post
//
// Any login is good, with any password. POST /test/mint makes an access token
// without anybody logging in, for tests that login is no part of.
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'

// oidc-provider takes it for granted, and Node 20 has none.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null)
const { default: Provider } = await import('oidc-provider')

const { JWKS_URI, GATEWAY_SECRET } = process.env

const server = createServer()
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `http://127.0.0.1:${server.address().port}`

const signingKey = (alg, type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  kid: `key-${alg}`,
  alg,
  use: 'sig',
})

const app = (client_id) => ({
  client_id,
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1/callback'],
})
const gateway = (client_id, token_endpoint_auth_method, rest) => ({
  client_id,
  token_endpoint_auth_method,
  redirect_uris: [],
  response_types: [],
  grant_types: ['client_credentials'],
  introspection_signed_response_alg: 'ES256',
  ...rest,
})

const provider = new Provider(issuer, {
  clients: [
    app('app'),
    app('other'),
    gateway('gateway', 'client_secret_basic', { client_secret: GATEWAY_SECRET }),
    gateway('gateway-post', 'client_secret_post', { client_secret: GATEWAY_SECRET }),
    gateway('gateway-key', 'private_key_jwt', { jwks_uri: JWKS_URI }),
  ],
  jwks: {
    keys: [
      signingKey('RS256', 'rsa', { modulusLength: 2048 }),
      signingKey('ES256', 'ec', { namedCurve: 'P-256' }),
    ],
  },
  scopes: ['openid', 'profile', 'chat'],
  claims: { openid: ['sub'], profile: ['name'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the tests` }) }),
  // A token has a sid if its client wants one in logout tokens. Introspection
  // says it by itself, a JWT only so.
  extraTokenClaims: (ctx, token) => token.sid && { sid: token.sid },
  features: {
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    introspection: {
      enabled: true,
      // What belongs to somebody else's application is none of the gateway's business.
      allowedPolicy: (ctx, client, token) => token.clientId !== 'other',
    },
    jwtIntrospection: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: 'chat', accessTokenFormat: 'jwt' }),
    },
  },
  // By itself it asks nobody on loopback, where the key of gateway-key is, and
  // where logouts go.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
})

async function mint({ client: clientId, user, scope, lifetime, audience, alg }) {
  const client = await provider.Client.find(clientId)
  const grant = new provider.Grant({ clientId, accountId: user })
  grant.addOIDCScope(scope)
  if (audience) grant.addResourceScope(audience, scope)
  const token = new provider.AccessToken({
    client,
    accountId: user,
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope,
    expiresIn: lifetime,
  })
  if (audience) {
    token.resourceServer = new provider.ResourceServer(audience, {
      scope,
      ...(alg ? { accessTokenFormat: 'jwt', jwt: { sign: { alg } } } : { accessTokenFormat: 'opaque' }),
    })
  }
  return { token: await token.save(), jti: token.jti }
}

const handle = provider.callback()
server.on('request', async (req, res) => {
  if (req.url !== '/test/mint') {
    handle(req, res)
    return
  }
  try {
    const chunks = await req.toArray()
    res.end(JSON.stringify(await mint(JSON.parse(Buffer.concat(chunks)))))
  } catch (err) {
    res.writeHead(500).end(String(err.stack))
  }
})

process.stdin.resume().on('end', () => {
  server.close()
  server.closeAllConnections()
})
console.log(JSON.stringify({ issuer }))
