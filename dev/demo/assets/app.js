// Wires the page together: the pass, the HTTP call, the hall, the login system.

import * as hall from './hall.js';
import * as pass from './pass.js';
import { Socket, address } from './socket.js';
import * as verdict from './verdict.js';

const $ = (id) => document.getElementById(id);
const login = document.documentElement.dataset.login;

let me = null; // the last good answer of /api/me

// ---- the pass and the HTTP call

// refresh asks the gate who we are and shows it.
async function refresh() {
  const answer = await pass.ask();
  if (answer.status === 200 && answer.body) {
    me = answer.body;
    pass.show(me);
  } else if (!me) {
    pass.nobody(answer.status === 401 ? 'The gate vouches for no one here.' : 'The gate does not say who you are.');
  } else if (answer.status === 401) {
    pass.stamp(pass.expired() ? pass.EXPIRED : 'Void');
  }
  return answer;
}

async function callAPI() {
  $('call-api').disabled = true;
  const a = await refresh();
  $('call-api').disabled = false;
  $('api-status').dataset.status = a.status;
  $('api-status').textContent = a.status
    ? `${a.status} ${a.statusText || words[a.status] || ''}`.trim() + `, ${a.ms} ms`
    : 'no answer';
  const head = a.challenge ? `WWW-Authenticate: ${a.challenge}\n\n` : '';
  $('api-answer').textContent = head + (a.body ? JSON.stringify(a.body, null, 2) : a.text.slice(0, 2000));
  $('api-answer').hidden = $('api-answer').textContent === '';
}

const words = { 200: 'OK', 401: 'Unauthorized', 403: 'Forbidden', 500: 'Internal Server Error', 502: 'Bad Gateway', 503: 'Service Unavailable' };

// ---- the hall

let retry = 0; // interval that counts down to the next try
let typing = false; // the composer had the focus when the gate fell

const socket = new Socket({
  onstate(state) {
    clearInterval(retry);
    $('gate').dataset.state = state;
    $('socket-state').dataset.state = state;
    $('socket-state').textContent = stateWords[state];
    const open = state === 'open';
    if (open || state === 'connecting') $('closed').hidden = true;
    typing = $('chat-form').contains(document.activeElement);
    $('chat-text').disabled = !open;
    $('chat-send').disabled = !open;
    if (!open) $('here').textContent = '';
  },

  onevent(e) {
    if (e.here) $('here').textContent = `Here now: ${e.here.join(', ')}`;
    if (e.type === 'message') hall.message(e, e.subject === me?.subject);
    if (e.type === 'join') hall.line(`${e.name} came in ${hall.label(e.way)}`);
    if (e.type === 'leave') hall.line(`${e.name} left`);
    if (e.type === 'welcome') {
      hall.line(`The gate vouched for ${e.name}: in ${hall.label(e.way)}`, 'gate-open');
      if (!me || !pass.good()) refresh(); // whatever the pass said, it's good again
    }
  },

  async judge({ code, reason, opened }) {
    if (reason === 'no_cookie' && !opened) {
      return {
        code: 'not sent', reason: '',
        text: 'There is no token to send.',
        hint: 'This way takes it from the session cookie, and there is none. Log in again.',
        next: 'login',
      };
    }
    if (reason === 'not_carried' && !opened) {
      return {
        code: 'not sent', reason: '',
        text: 'This token cannot travel this way.',
        hint: 'It has characters that a subprotocol may not hold. Choose another way.',
        next: 'stop',
      };
    }
    if (opened) {
      const v = verdict.closed(code, reason);
      // Renewed since, but the socket was not: there is nothing to renew now.
      const renewed = v.next === 'renew' && (await refresh()).status === 200;
      return { code, reason, ...v, ...(renewed ? verdict.renewed : {}) };
    }
    const { status } = await refresh();
    return { code: 'handshake refused', reason: '', ...verdict.refused(status, pass.scopes(me?.userinfo), pass.expired()) };
  },

  async refresh() {
    const ok = login && (await post('/app/refresh')) === 204;
    if (ok) await refresh(); // shows the new token's time
    return ok;
  },

  onverdict(v, wait) {
    $('closed-code').textContent = v.code;
    $('closed-reason').textContent = v.reason;
    $('closed-text').textContent = v.text;
    $('closed-next').textContent = v.hint;
    $('closed-renew').hidden = !(login && v.next === 'renew');
    $('closed-login').hidden = !(login && (v.next === 'login' || v.next === 'renew'));
    $('closed-login').classList.toggle('quiet', v.next === 'renew');
    $('reconnect').hidden = v.next === 'login' || v.next === 'renew';
    $('retry').hidden = wait === null;
    if (wait !== null) {
      const at = performance.now() + wait;
      const count = () => {
        const s = Math.max(0, Math.ceil((at - performance.now()) / 1000));
        $('retry').textContent = `Trying again in ${s} s.`;
      };
      count();
      retry = setInterval(count, 250);
    }
    $('closed').hidden = false;
    if (typing) $('closed').focus({ preventScroll: true }); // not left on a dead field
    hall.line(`${v.code}${v.reason ? ` ${v.reason}` : ''}: ${v.text}`, 'gate');
    if ($('account-note').dataset.kind === 'good') note('');
    if (v.next === 'renew') pass.stamp(pass.EXPIRED);
    if (v.code === 3003) pass.stamp(v.reason === 'forbidden' ? 'Refused' : 'Revoked');
  },
});

const stateWords = {
  connecting: 'at the gate',
  open: 'open',
  waiting: 'closed, will try again',
  closed: 'closed',
  refused: 'refused',
};

$('chat-form').addEventListener('submit', (e) => {
  e.preventDefault();
  const text = $('chat-text').value.trim();
  if (!text || !socket.open) return;
  socket.send(text);
  $('chat-text').value = '';
});

$('reconnect').addEventListener('click', () => socket.connect());

// ---- the ways

const wayNotes = {
  cookie: 'Script sets nothing: the browser sends the session cookie with the handshake by itself.',
  query: 'The token rides in the URL. The gate takes it out before the backend or a log can see it.',
  ticket: 'The page asks the gate for a ticket that is good once, and renews the socket’s authorization before it ends: no reconnect. Script never sees the token.',
  subprotocol: 'The token rides in Sec-WebSocket-Protocol. The gate takes both words out of the offer and answers “bearer”.',
};

// showWay writes the call as the page makes it, with a word where the token is.
function showWay(way) {
  const url = address(way);
  const secret = document.createElement('span');
  secret.className = 'secret';
  secret.textContent = 'your token';
  const parts = {
    cookie: [`new WebSocket("${url}")`],
    query: [`new WebSocket("${url}?token=`, secret, '")'],
    subprotocol: [`new WebSocket("${url}", ["bearer", "`, secret, '"])'],
    ticket: [`new PortcullisSocket("${url}", [], { refresh })`],
  };
  $('way-code').replaceChildren(...parts[way]);
  $('way-note').textContent = wayNotes[way];
}

const chosen = () => document.querySelector('input[name="way"]:checked').value;

for (const radio of document.querySelectorAll('input[name="way"]')) {
  radio.addEventListener('change', () => {
    showWay(radio.value);
    socket.connect(radio.value);
  });
}

// ---- the login system

function note(text, kind = '') {
  $('account-note').textContent = text;
  $('account-note').dataset.kind = kind;
}

// post calls the login system, which lives elsewhere and has its own cookies.
async function post(path) {
  try {
    const res = await fetch(login + path, { method: 'POST', credentials: 'include' });
    return res.status;
  } catch {
    return 0;
  }
}

async function renew() {
  note('Renewing …');
  const status = await post('/app/refresh');
  if (status < 200 || status > 299) {
    note(status ? 'The login system does not renew this any more. Log in again.' : 'The login system cannot be reached.', 'bad');
    return;
  }
  // This call carries the fresh token, by which a gate can extend open sockets.
  const answer = await refresh();
  if (answer.status !== 200) {
    note('The gate did not take the new token. Log in again.', 'bad');
    return;
  }
  const until = pass.expiry();
  note(until ? `Renewed until ${until.toLocaleTimeString()}.` : 'Renewed.', 'good');
  if (!socket.open) socket.connect(chosen());
}

async function logout() {
  note('Logging out …');
  const status = await post(`/app/logout?return_to=${encodeURIComponent(location.href)}`);
  if (status < 200 || status > 299) {
    note('The login system cannot be reached.', 'bad');
    return;
  }
  // The page doesn't hang up: it is the gate that has to.
  pass.stamp('Logged out');
  note('Logged out. The page did not hang up; the gate does that.', '');
}

function loginURL(kind) {
  const url = new URL(login + '/app/login');
  url.searchParams.set('return_to', location.origin + '/');
  if (kind) url.searchParams.set('kind', kind);
  return url;
}

if (login) {
  $('login').href = $('closed-login').href = loginURL('');
  $('login-opaque').href = loginURL('opaque');
  $('login-jwt').href = loginURL('jwt');
} else {
  for (const id of ['renew', 'logout', 'login', 'login-kinds']) $(id).hidden = true;
}
$('renew').addEventListener('click', renew);
$('closed-renew').addEventListener('click', renew);
$('logout').addEventListener('click', logout);
$('call-api').addEventListener('click', callAPI);

// ---- begin

showWay(chosen());
setInterval(pass.tick, 250);
await refresh();
socket.connect(chosen());
document.documentElement.dataset.ready = 'true'; // for tests
