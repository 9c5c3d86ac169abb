// Every example payload that GitHub publishes: [{ name: event, examples: [payload] }].
import { createRequire } from 'node:module';

export default createRequire(import.meta.url)('@octokit/webhooks-examples');
