import type { Options } from './options.js';
/** An answer of the gateway. What its body holds has not been checked. */
export interface Answer {
    status: number;
    after: number;
    ticket?: unknown;
    session?: unknown;
    valid_for?: unknown;
}
/** Posts body to one of the gateway's endpoints. It never rejects. */
export declare function ask(endpoint: string, body: object, o: Options, signal: AbortSignal): Promise<Answer>;
/** Reports whether the answer says "cannot tell" rather than yes or no. */
export declare function unsure({ status }: Answer): boolean;
