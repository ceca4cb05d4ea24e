// The chat log. Everything that others wrote goes in as text, never as markup.

const MAX_LINES = 200;
const labels = { cookie: 'by cookie', query: 'by URL parameter', subprotocol: 'by subprotocol', ticket: 'by ticket', '': 'by /wsapi/' };

const log = document.getElementById('chat-log');
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const seen = new Set(); // IDs of messages, since those are replayed to who comes back
const tinctures = new Map(); // subject to colour, in the order of their first words

// message shows what somebody said. mine tells the reader's own.
export function message(e, mine) {
  if (seen.has(e.id)) return;
  seen.add(e.id);
  const row = el('article', 'msg');
  row.dataset.subject = e.subject;
  row.dataset.name = e.name;
  row.dataset.way = e.way;
  row.dataset.id = e.id;
  const shield = el('span', `shield t${tincture(e.subject)}`, [...e.name][0]?.toUpperCase() ?? '?');
  shield.setAttribute('aria-hidden', 'true');
  const name = el('span', 'msg-name', e.name);
  name.title = `Vouched for by the gate as ${e.subject}`;
  const at = el('time', 'msg-time', time.format(new Date(e.time)));
  at.dateTime = e.time;
  const head = el('p', 'msg-head');
  head.append(name);
  if (mine) head.append(el('span', 'msg-you', 'you'));
  head.append(el('span', 'msg-way', labels[e.way] ?? e.way), at);
  row.append(shield, head, el('p', 'msg-text', e.text));
  add(row);
}

// line shows a note of ours. kind: "", "gate" (it fell) or "gate-open".
// Saying the same again and again would help nobody, least of all who listens.
export function line(text, kind = '') {
  if (log.lastElementChild?.matches('.line') && log.lastElementChild.textContent === text) return;
  add(el('p', `line ${kind}`.trim(), text));
}

export function label(way) {
  return labels[way] ?? way;
}

function add(row) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  log.querySelector('.empty')?.remove();
  log.append(row);
  while (log.childElementCount > MAX_LINES) {
    const first = log.firstElementChild;
    seen.delete(first.dataset.id);
    first.remove();
  }
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function el(name, className, text) {
  const e = document.createElement(name);
  e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function tincture(subject) {
  if (!tinctures.has(subject)) tinctures.set(subject, tinctures.size % 6);
  return tinctures.get(subject);
}
