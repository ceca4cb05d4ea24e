// What the gate's codes and words mean, in plain language, and what to do next.
//
// next: "renew" (a fresh token opens the gate again), "login" (only logging in
// does), "retry" (nobody's fault; try again soon), "stop" (it's for the reader to
// say when to try again).

const byReason = {
  token_expired: {
    text: 'Your token ran out. The gate closed this socket.',
    hint: 'Renew the token, then come back.',
    next: 'renew',
  },
  session_revoked: {
    text: 'You were logged out or your access was taken away.',
    hint: 'The gate closed this socket at once. Only logging in opens it again.',
    next: 'login',
  },
  forbidden: {
    text: 'You are not, or no longer, allowed in here.',
    hint: 'The gate knows who you are, but its rule for this route says no.',
    next: 'login',
  },
  limit: {
    text: 'You went over a limit.',
    hint: 'Too many sockets at once, or too many messages too fast.',
    next: 'stop',
  },
  unavailable: {
    text: 'The gate could not tell whether your token is still good.',
    hint: 'The token system does not answer. That is not your doing.',
    next: 'retry',
  },
  shutdown: {
    text: 'The service is restarting.',
    hint: 'It should be back in a moment.',
    next: 'retry',
  },
};

const byCode = {
  1000: { text: 'The socket was closed in good order.', hint: '', next: 'stop' },
  1001: { text: 'The other side went away.', hint: 'It may be restarting.', next: 'retry' },
  1005: { text: 'The socket was closed without a reason.', hint: '', next: 'retry' },
  1006: {
    text: 'The connection was cut.',
    hint: 'No goodbye came: the network, or a side that stopped in mid-sentence.',
    next: 'retry',
  },
  1007: { text: 'The other side could not read a message.', hint: '', next: 'stop' },
  1008: { text: 'The gate’s rules do not allow this.', hint: '', next: 'login' },
  1009: { text: 'A message was too big.', hint: 'Send a shorter one.', next: 'stop' },
  1011: { text: 'The other side ran into an error.', hint: '', next: 'retry' },
  1012: byReason.shutdown,
  1013: byReason.unavailable,
  3000: byReason.token_expired,
  3003: byReason.session_revoked,
  4401: byReason.token_expired,
  4403: byReason.forbidden,
};

const unknown = { text: 'The socket was closed with a code this page does not know.', hint: '', next: 'stop' };

// closed explains a Close frame. The reason word is the more exact of the two.
export function closed(code, reason) {
  return (Object.hasOwn(byReason, reason) && byReason[reason]) || byCode[code] || unknown;
}

// renewed amends what closed says of an expired token if there is a newer one.
export const renewed = {
  text: 'This socket’s token ran out. The gate closed it.',
  hint: 'You hold a newer token by now: come back with that.',
  next: 'stop',
};

// refused explains why a handshake failed. Script cannot see a handshake's
// answer, so this judges by the answer to an ordinary call right after it.
// status is 0 if that call did not get through; scopes are the user's, expired
// says that their token's time is known to be over.
export function refused(status, scopes, expired) {
  if (status === 401 && expired) {
    return {
      text: 'The gate did not let you in: your token has run out.',
      hint: 'Renew the token, then come back.',
      next: 'renew',
    };
  }
  if (status === 401) {
    return {
      text: 'The gate did not let you in: it has no good token from you.',
      hint: 'The call to /api/me was answered with 401, so the handshake must have been too.',
      next: 'login',
    };
  }
  if (status === 403) {
    return {
      text: 'The gate knows you but does not let you in.',
      hint: 'The call to /api/me was answered with 403.',
      next: 'login',
    };
  }
  if (status === 200 && !scopes.includes('chat')) {
    return {
      text: 'Your token is good, but not for the hall.',
      hint: 'The rule for sockets asks for the scope “chat”, and you don’t have it.',
      next: 'login',
    };
  }
  if (status === 503) return byReason.unavailable;
  if (status === 200) {
    return {
      text: 'The socket did not open, though the gate knows your token.',
      hint: 'Something on the way may not carry sockets, or the hall is restarting.',
      next: 'retry',
    };
  }
  return {
    text: 'The gate cannot be reached.',
    hint: status ? `The call to /api/me was answered with ${status}.` : 'The call to /api/me got no answer either.',
    next: 'retry',
  };
}
