/** What follows an end. */
export type Action = 'reconnect' | 'renew' | 'stop';
/** What an end means: what to do, and the words for it. */
export type End = [action: Action, text: string];
/**
 * Tells what an end means. The reason word is the more exact, so it goes first;
 * the code serves where a gateway, proxy or backend gives no word of ours.
 */
export declare function meaning(code: number, reason: string): End;
