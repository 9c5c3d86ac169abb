// The floods of HTTP/2, as bytes: for the tests, and for scripts/bench --hostile.
import { block, CONTINUATION, DATA, END_HEADERS, END_STREAM, frame, get, GOAWAY, HEADERS, INITIAL_WINDOW, PING, post, PRIORITY, RST_STREAM, setting, SETTINGS, u32, WINDOW_UPDATE } from './frames.mjs';

export const many = (n, one) => Buffer.concat(Array.from({ length: n }, (_, i) => one(i)));
export const odd = (i) => 1 + 2 * i;

/** By which limit it is cut; what an attacker sends once; then again and again. They want /hello and /slow. */
export const floods = {
    'rapid reset': ['resets', null, (round) => many(1000, (i) => Buffer.concat([get(odd(round * 1000 + i), '/slow'), frame(RST_STREAM, 0, odd(round * 1000 + i), u32(8))]))],
    'MadeYouReset, a window opened by nothing': ['resets', null, (round) => many(1000, (i) => Buffer.concat([get(odd(round * 1000 + i), '/slow'), frame(WINDOW_UPDATE, 0, odd(round * 1000 + i), u32(0))]))],
    'MadeYouReset, DATA behind the end': ['resets', null, (round) => many(1000, (i) => Buffer.concat([get(odd(round * 1000 + i), '/slow'), frame(DATA, 0, odd(round * 1000 + i), Buffer.from('x'))]))],
    'MadeYouReset, more than was said': ['resets', null, (round) => many(1000, (i) => Buffer.concat([frame(HEADERS, END_HEADERS, odd(round * 1000 + i), block('/slow', { method: 'POST', more: Buffer.from('\x0f\x0d\x013', 'latin1') })), frame(DATA, END_STREAM, odd(round * 1000 + i), Buffer.from('xxxxx'))]))],
    'DATA for a stream that has ended': ['resets', get(1, '/hello'), () => many(5000, () => frame(DATA, 0, 1, Buffer.from('x')))],
    'the end of a stream, again': ['resets', get(1, '/hello'), () => many(5000, () => frame(DATA, END_STREAM, 1))],
    'DATA for a stream that is being answered': ['resets', get(1, '/slow'), () => many(5000, () => frame(DATA, 0, 1, Buffer.alloc(100)))],
    'streams past the limit': ['resets', null, (round) => many(1000, (i) => get(odd(round * 1000 + i), '/slow'))],
    'PING': ['pings', null, () => many(5000, () => frame(PING, 0, 0, Buffer.alloc(8)))],
    'PING that answers none': ['frames', null, () => many(5000, () => frame(PING, 1, 0, Buffer.alloc(8)))],
    'SETTINGS': ['settings', null, () => many(5000, () => frame(SETTINGS, 0, 0))],
    'SETTINGS of windows': ['settings', null, () => many(2000, (i) => frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, i % 2 * 65535)))],
    'empty DATA': ['empty_frames', post(1, '/slow'), () => many(5000, () => frame(DATA, 0, 1))],
    'DATA that is padding': ['empty_frames', post(1, '/slow'), () => many(2000, () => frame(DATA, 8, 1, Buffer.from([7, 0, 0, 0, 0, 0, 0, 0])))],
    'CONTINUATION without end': ['continuations', frame(HEADERS, 0, 1, block('/hello')), () => many(5000, () => frame(CONTINUATION, 0, 1, Buffer.from([0x82])))],
    'CONTINUATION, large': ['hpack', frame(HEADERS, 0, 1, block('/hello')), () => many(20, () => frame(CONTINUATION, 0, 1, Buffer.alloc(16384, 0xbe)))],
    'CONTINUATION, empty': ['continuations', frame(HEADERS, 0, 1, block('/hello')), () => many(5000, () => frame(CONTINUATION, 0, 1))],
    'PRIORITY': ['frames', get(1, '/slow'), () => many(5000, (i) => frame(PRIORITY, 0, 1, Buffer.from([0, 0, 0, 0, i % 256])))],
    'WINDOW_UPDATE by bytes': ['frames', get(1, '/slow'), () => many(5000, () => frame(WINDOW_UPDATE, 0, 1, u32(1)))],
    'RST_STREAM of what has ended': ['frames', get(1, '/hello'), () => many(5000, () => frame(RST_STREAM, 0, 1, u32(8)))],
    'frames of no known type': ['frames', null, () => many(5000, () => frame(0x42, 0, 0))],
    'GOAWAY': ['frames', null, () => many(2000, () => frame(GOAWAY, 0, 0, Buffer.alloc(8)))],
};
