import type { Action } from './ends.js';
/** How a {@link PortcullisSocket} gets in. Every field may be left out. */
export interface Options {
    /**
     * The token, sent to the gateway as `Authorization: Bearer` and without cookies.
     * Asked for each call. Left out, the browser sends its cookies. A rejection means
     * "not now", and is tried again; an empty token is refused by the gateway.
     */
    token?: () => string | Promise<string>;
    /**
     * Has the login system issue a fresh token. Called before the authorization ends,
     * and when it has ended. If it rejects, or resolves to false, there is none: a live
     * socket is left to its end, and one that has to come back stops. Sockets that are
     * given the same function share one call. It must settle: nothing else is tried
     * meanwhile. Left out, the page is trusted to keep
     * the token fresh by other means.
     */
    refresh?: () => unknown;
    /** The gateway's origin, as `https://app.example.com`. Left out: the URL's own. */
    base?: string;
    /** false: open the URL as it is; the browser's cookies must do, and there is no renewal. */
    ticket?: boolean;
    /** true: carry the ticket as a subprotocol instead of in the URL. */
    subprotocol?: boolean;
    /** What to use in place of the globals of these names. */
    WebSocket?: new (url: string, protocols?: string[]) => object;
    fetch?: typeof fetch;
    setTimeout?: (call: () => void, ms: number) => unknown;
    clearTimeout?: (timer: any) => void;
    /** In place of Math.random: spreads waits. */
    random?: () => number;
    /** In place of Date.now: the wall clock, ms. */
    now?: () => number;
}
/** Why a connection ended, or could not be made, and what happens now. */
export interface Status {
    /**
     * The close code. Where the gateway refused the ticket: 3000 for 401, 3003 for
     * 403, 1013 for 429 and 5xx, and 1006 for every other answer or none.
     */
    code: number;
    /** The close reason: one of the gateway's words, or what the backend wrote. */
    reason: string;
    /** "renew" is to refresh the token, then reconnect; "stop" is final. */
    action: Action;
    /** ms until the action; absent for "stop". */
    in?: number;
    /** The same in plain words, for people. */
    text: string;
}
/** The events of a {@link PortcullisSocket}. */
export interface PortcullisEventMap extends WebSocketEventMap {
    status: CustomEvent<Status>;
}
