// SPDX-License-Identifier: GPL-2.0-or-later
// In place of k6's module "k6/http", within a VU's worker thread. k6's calls return when the
// answer is there; Node has no such call, so the main thread makes it while this one waits.
import { receiveMessageOnPort, workerData } from 'node:worker_threads';

const answered = new Int32Array(workerData.answered);

function request(method, url, body, params) {
	const known = ['headers', 'responseType', 'timeout', 'tags'];
	const unknown = Object.keys(params || {}).find((name) => !known.includes(name));

	if (unknown)
		throw new Error(`the stand-in for k6 does not know the parameter ${unknown}`);
	Atomics.store(answered, 0, 0);
	workerData.port.postMessage({ method, url, body: body ?? null, headers: params?.headers || {},
		timeout: params?.timeout || '60s' });
	Atomics.wait(answered, 0, 0);
	return receiveMessageOnPort(workerData.port).message;
}

function post(url, body, params) {
	return request('POST', url, body, params);
}

export default { request, post };
export { request, post };
