// SPDX-License-Identifier: GPL-2.0-or-later
// One VU: the script in a thread of its own, as k6 gives each VU a runtime of its own.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

const wanted = new Int32Array(workerData.wanted); // 0: rest, 1: iterate, 2: go home

globalThis.__ENV = process.env;
globalThis.__VU = workerData.vu;
globalThis.__ITER = 0;
globalThis.open = (name) => readFileSync(join(dirname(workerData.script), name), 'utf8');
const script = await import(workerData.script);

if (workerData.job !== 'iterate') {
	try {
		const value = workerData.job === 'options' ? script.options :
			workerData.job === 'setup' ? script.setup?.() : script.teardown?.(workerData.data);
		parentPort.postMessage({ done: true, value: JSON.parse(JSON.stringify(value ?? null)) });
	} catch (e) {
		parentPort.postMessage({ done: true, error: String(e) });
	}
} else {
	for (;;) {
		Atomics.wait(wanted, 0, 0);
		if (Atomics.load(wanted, 0) === 2)
			break;
		parentPort.postMessage({ begun: true });
		try {
			script.default(workerData.data);
			parentPort.postMessage({ ended: true });
		} catch (e) {
			parentPort.postMessage({ ended: true, error: String(e) });
		}
		globalThis.__ITER++;
	}
	parentPort.postMessage({ home: true });
}
