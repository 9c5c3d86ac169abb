// scripts/bench --against BINARY: the built crescent beside another one, one of an earlier version, say. Machines differ by more
// than versions do, and the same machine from hour to hour: so both run in turns, in processes of their own in each round, and
// what counts is the median of the ratios within a round. For bench.mjs.
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const MOST = 1.05;

/**
 * Prints the table; what was missed, in words. begin(program): a server; measure(server, scenario, seconds): {cost} in CPU µs a
 * request; programs: {name: path}, the other one first.
 */
export async function against({ programs, scenarios, begin, measure, rounds, seconds }) {
    const [other, own] = Object.keys(programs), costs = {}, missed = [];
    for (const { path } of scenarios) costs[path] = { [other]: [], [own]: [] };
    for (let round = 0; round < rounds; round++) {
        for (const name of round % 2 === 0 ? [other, own] : [own, other]) {
            const server = await begin(programs[name]);
            for (const scenario of scenarios) {
                await measure(server, scenario, 1);
                costs[scenario.path][name].push((await measure(server, scenario, seconds)).cost);
            }
            await server.stop();
        }
    }
    console.log(`CPU µs a request, median of ${rounds} rounds of ${seconds} s, in turns.\n`);
    console.log(`| scenario | ${other} | ${own} | ratio of a round, median |\n|---|---:|---:|---:|`);
    for (const { path, title } of scenarios) {
        const ratio = median(costs[path][own].map((cost, round) => cost / costs[path][other][round]));
        console.log(`| ${title} | ${median(costs[path][other]).toFixed(1)} | ${median(costs[path][own]).toFixed(1)} | ${ratio.toFixed(3)} |`);
        if (ratio > MOST) missed.push(`${title}: ${ratio.toFixed(3)} of what the other one takes, wanted at most ${MOST}`);
    }
    return missed;
}
