// Who the gate says we are, and until when.

const $ = (id) => document.getElementById(id);

const SOON = 60_000; // ms
const PATIENCE = 8000; // ms for an answer
export const EXPIRED = 'Expired'; // the stamp that goes with the countdown's end

let ends = null; // by the backend's clock, ms
let skew = 0; // backend's clock minus this one's
let spent = false; // the pass is stamped
let announced = '';

// ask makes the call to /api/me and never throws: status is 0 if it got no
// answer.
export async function ask() {
  const began = performance.now();
  try {
    const res = await fetch('/api/me', { headers: { Accept: 'application/json' }, cache: 'no-store', redirect: 'manual', signal: AbortSignal.timeout(PATIENCE) });
    const text = await res.text();
    let body = null;
    try {
      body = JSON.parse(text);
    } catch {
      // not everything on the way answers in JSON
    }
    return {
      status: res.status,
      statusText: res.statusText,
      challenge: res.headers.get('WWW-Authenticate') ?? '',
      body,
      text,
      ms: Math.round(performance.now() - began),
    };
  } catch {
    return { status: 0, statusText: '', challenge: '', body: null, text: '', ms: 0 };
  }
}

export function scopes(info) {
  const s = info?.scope ?? info?.scopes ?? info?.scp ?? info?.roles ?? [];
  return Array.isArray(s) ? s.map(String) : String(s).split(' ').filter(Boolean);
}

// show puts the answer of /api/me on the pass.
export function show(me) {
  const info = me.userinfo ?? {};
  spent = false;
  announced = '';
  $('pass').dataset.state = 'valid';
  $('stamp').hidden = true;
  $('me-name').textContent = info.name || me.name || me.subject;
  $('me-email').textContent = me.email || info.email || '';
  $('me-subject').textContent = me.subject;
  $('me-session').textContent = info.sid || info.login || 'none told';
  chips($('me-groups'), me.groups?.length ? me.groups : (info.groups ?? []), '');
  chips($('me-scopes'), scopes(info), 'chat');
  ends = Number.isFinite(info.exp) ? info.exp * 1000 : Date.parse(info.valid_until) || null;
  skew = Number.isFinite(me.now) ? me.now - Date.now() : 0;
  tick();
}

// nobody clears the pass and says why.
export function nobody(why) {
  $('me-name').textContent = 'Nobody';
  $('me-email').textContent = why;
  $('me-subject').textContent = '–';
  $('me-session').textContent = '–';
  chips($('me-groups'), [], '');
  chips($('me-scopes'), [], '');
  ends = null;
  spent = false;
  $('stamp').hidden = true;
  $('pass').dataset.state = 'none';
  tick();
}

// stamp marks the pass as no longer good. The first word on it stays until there
// is a new pass.
export function stamp(word) {
  if (spent) return;
  spent = true;
  $('pass').dataset.state = 'void';
  $('stamp').textContent = word;
  $('stamp').hidden = false;
  tick();
}

export function good() {
  return !spent;
}

export function expiry() {
  return ends === null ? null : new Date(ends - skew);
}

// expired tells whether the token has run out, to be asked when the gate says no:
// what we know of its clock is off by the way of an answer.
export function expired() {
  return ends !== null && ends - skew - 1000 <= Date.now();
}

// tick redraws the countdown; called often.
export function tick() {
  const time = $('countdown');
  const note = $('countdown-note');
  const left = ends === null ? null : ends - skew - Date.now();
  if (spent && $('stamp').textContent !== EXPIRED) {
    put(time, 'Ended', 'expired');
    note.textContent = 'This token is no longer good.';
  } else if (left === null && !spent) {
    put(time, '–:––', 'none');
    note.textContent = $('pass').dataset.state === 'valid' ? 'the token tells no end' : 'no token';
  } else if (spent || left <= 0) {
    put(time, 'Expired', 'expired');
    note.textContent = 'The gate lets nothing more through.';
    announce('Your token has expired.');
    stamp(EXPIRED);
  } else {
    put(time, clock(left), left < SOON ? 'soon' : 'running');
    note.textContent = 'until the token ends';
    if (left < SOON) announce('Less than a minute until your token ends.');
  }
}

function put(el, text, state) {
  if (el.textContent !== text) el.textContent = text;
  el.dataset.state = state;
}

function clock(ms) {
  const s = Math.ceil(ms / 1000);
  const two = (n) => String(n).padStart(2, '0');
  const h = Math.floor(s / 3600);
  const m = Math.floor(s / 60) % 60;
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

function announce(text) {
  if (announced === text) return;
  announced = text;
  $('announce').textContent = text;
}

function chips(list, words, key) {
  const items = words.map((word) => {
    const li = document.createElement('li');
    li.textContent = word;
    if (word === key) {
      li.className = 'key';
      li.title = 'The rule for sockets asks for this one';
    }
    return li;
  });
  if (!items.length) {
    const li = document.createElement('li');
    li.textContent = 'none';
    items.push(li);
  }
  list.replaceChildren(...items);
}
