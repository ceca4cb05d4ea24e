import type { Options, PortcullisEventMap, Status } from './options.js';
export interface PortcullisSocket {
    addEventListener<K extends keyof PortcullisEventMap>(type: K, listener: (this: PortcullisSocket, event: PortcullisEventMap[K]) => any, options?: boolean | AddEventListenerOptions): void;
    addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
    removeEventListener<K extends keyof PortcullisEventMap>(type: K, listener: (this: PortcullisSocket, event: PortcullisEventMap[K]) => any, options?: boolean | EventListenerOptions): void;
    removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}
/**
 * A WebSocket that keeps its authorization and its connection. It is used as one:
 * `new PortcullisSocket(url, protocols)`. What differs: `readyState` goes back to
 * CONNECTING between connections, `open` comes with each of them, `close` once, at
 * the end for good, after `error` if that end was no clean close; `status` says
 * why a connection ended. Messages are neither queued nor replayed.
 */
export declare class PortcullisSocket extends EventTarget implements WebSocket {
    #private;
    static readonly CONNECTING = 0;
    static readonly OPEN = 1;
    static readonly CLOSING = 2;
    static readonly CLOSED = 3;
    readonly CONNECTING = 0;
    readonly OPEN = 1;
    readonly CLOSING = 2;
    readonly CLOSED = 3;
    onopen: ((this: WebSocket, event: Event) => any) | null;
    onmessage: ((this: WebSocket, event: MessageEvent) => any) | null;
    onerror: ((this: WebSocket, event: Event) => any) | null;
    onclose: ((this: WebSocket, event: CloseEvent) => any) | null;
    onstatus: ((this: WebSocket, event: CustomEvent<Status>) => any) | null;
    /** The URL as given, made absolute; never with a ticket. */
    readonly url: string;
    /**
     * Throws a SyntaxError for a URL or protocols that WebSocket would refuse.
     */
    constructor(url: string | URL, protocols?: string | string[], options?: Options);
    /** CONNECTING also while waiting to reconnect; CLOSED at the end for good. */
    get readyState(): 0 | 1 | 2 | 3;
    get protocol(): string;
    get extensions(): string;
    /** Of the current connection. What a lost one still held is lost. */
    get bufferedAmount(): number;
    get binaryType(): BinaryType;
    set binaryType(type: BinaryType);
    /**
     * Sends data on the open connection. Throws InvalidStateError while CONNECTING,
     * between connections too; drops data when CLOSING or CLOSED.
     */
    send(data: string | ArrayBufferLike | Blob | ArrayBufferView<ArrayBuffer>): void;
    /** Ends it for good: `close` follows, and nothing after that. */
    close(code?: number, reason?: string): void;
}
