// What waiting costs, for bench.mjs: coroutines of one parallel, all asleep at once.
import assert from 'node:assert/strict';
import { status } from './ground.mjs';
import { sleep } from '../e2e/helper.mjs';

const SLEEPERS = 10_000;

/** Bytes that each of 10,000 coroutines of one `parallel` adds to its worker while all of them sleep. */
export async function sleepers(server) {
    const [worker] = server.children('worker');
    await server.get('/sleepers?count=10&seconds=0');
    await sleep(500);
    const before = status(worker, 'VmRSS');
    const running = server.get(`/sleepers?count=${SLEEPERS}&seconds=2`);
    await sleep(1500); // all have begun, none has ended
    const added = status(worker, 'VmRSS') - before;
    assert.equal((await running).text, `${SLEEPERS}\n`);
    return added / SLEEPERS;
}

/** Milliseconds until all of them have begun, and until all are ended again, when one fails: medians of `rounds`. */
export async function sleepersTime(server, rounds = 9) {
    const begin = [], end = [];
    for (let i = 0; i < rounds; i++) {
        const { json } = await server.get(`/sleepers?count=${SLEEPERS}&seconds=60&fail=1`);
        begin.push(json.begin);
        end.push(json.cancel);
    }
    const median = (list) => list.sort((a, b) => a - b)[rounds >> 1];
    return { begin: median(begin), end: median(end) };
}
