/**
 * Calls refresh and reports whether it brought a fresh token. Login systems that
 * rotate refresh tokens take the second of two calls at once for theft, so
 * sockets that share the function share the call.
 */
export declare function refreshed(refresh: (() => unknown) | undefined): Promise<boolean>;
