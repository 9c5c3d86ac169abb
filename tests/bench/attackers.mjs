// The other side of hostile.mjs, a process of its own: floods a server over HTTP/2 from some connections until TERM, each
// anew as soon as it was cut. Prints a line when it has begun, and at its end {connections, cut, bytes} as JSON.
// node attackers.mjs PORT FLOOD CONNECTIONS; FLOOD is a name of e2e/attack/floods.mjs, or "closed windows:/PATH".
import net from 'node:net';
import { floods, many, odd } from '../e2e/attack/floods.mjs';
import { frame, get, INITIAL_WINDOW, PREFACE, setting, SETTINGS } from '../e2e/attack/frames.mjs';

const [port, name, connections] = process.argv.slice(2);
const target = /^closed windows:(.*)/.exec(name)?.[1];
const [, first, next] = target ? [null, many(100, (i) => get(odd(i), target)), () => null] : floods[name];
const begin = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, target ? setting(INITIAL_WINDOW, 0) : undefined), first ?? Buffer.alloc(0)]);
const rounds = Array.from({ length: 4 }, (_, i) => next(i)).filter(Boolean); // made once: making them must not slow it down
const result = { connections: 0, cut: 0, bytes: 0 };
const open = new Set();
let running = true;

function attack() {
    if (!running) return;
    const socket = net.connect(Number(port), '127.0.0.1');
    let round = 0, sending = true;
    open.add(socket);
    result.connections++;
    const send = () => {
        while (sending && rounds.length > 0) {
            const bytes = rounds[Math.min(round++, rounds.length - 1)];
            result.bytes += bytes.length;
            if (!socket.write(bytes)) return;
        }
    };
    socket.on('connect', () => { socket.write(begin); send(); }).on('drain', send).resume().on('error', () => {});
    socket.on('close', () => {
        sending = false;
        open.delete(socket);
        if (running) result.cut++;
        setImmediate(attack);
    });
}

process.on('SIGTERM', () => {
    running = false;
    for (const socket of open) socket.destroy();
    console.log(JSON.stringify(result));
    process.exit(0);
});
for (let i = 0; i < Number(connections); i++) attack();
console.log('attacking');
