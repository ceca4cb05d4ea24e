const running = new WeakMap<() => unknown, Promise<boolean>>();

/**
 * Calls refresh and reports whether it brought a fresh token. Login systems that
 * rotate refresh tokens take the second of two calls at once for theft, so
 * sockets that share the function share the call.
 */
export function refreshed(refresh: (() => unknown) | undefined): Promise<boolean> {
  if (!refresh) return Promise.resolve(true);
  let call = running.get(refresh);
  if (!call) {
    call = Promise.resolve()
      .then(refresh)
      .then((v) => v !== false, () => false)
      .finally(() => running.delete(refresh));
    running.set(refresh, call);
  }
  return call;
}
