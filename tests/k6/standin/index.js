// SPDX-License-Identifier: GPL-2.0-or-later
// In place of k6's module "k6", within a VU's worker thread: what journey.js uses of it, and nothing else.
import { parentPort } from 'node:worker_threads';

const never = new Int32Array(new SharedArrayBuffer(4));

export function sleep(seconds) {
	Atomics.wait(never, 0, 0, seconds * 1000);
}

export function check(value, checks) {
	let all = true;

	for (const [name, holds] of Object.entries(checks)) {
		const ok = Boolean(holds(value));
		parentPort.postMessage({ check: name, ok });
		all = all && ok;
	}
	return all;
}
