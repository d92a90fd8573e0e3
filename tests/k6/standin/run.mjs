// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a k6 script in Node with stand-ins for k6's modules, where k6 is not at hand.
//
// This is not k6, and no measure of what k6 would measure: it shows that the script loads,
// that its journey gets through against real services, that its checks and thresholds are
// what they should be. One worker thread a VU, the executor ramping-vus only. Prints one
// JSON object; exit status as k6's: 0 passed, 99 a threshold is crossed, 107 the script failed.
//
// usage: node tests/k6/standin/run.mjs tools/load/normal.js
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';

const SCRIPT_FAILED = 107, CROSSED = 99, TICK_MS = 20;

const here = dirname(fileURLToPath(import.meta.url));
const durations = [], checks = new Map();
let failed = 0, iterations = 0, exceptions = 0, stopping = false, vus_max = 0;

function ms(text) {
	const m = /^([0-9.]+)(ms|s|m)$/.exec(text);
	if (!m)
		throw new Error(`${text} is no duration`);
	return Number(m[1]) * { ms: 1, s: 1000, m: 60000 }[m[2]];
}

// Bare specifiers are looked for beside the importing file: scripts and stand-ins go into one folder.
function lay_out(script) {
	const work = mkdtempSync(join(tmpdir(), 'k6-standin.'));
	const from = dirname(script);

	for (const name of readdirSync(from))
		if (/\.(js|json)$/.test(name))
			cpSync(join(from, name), join(work, name));
	cpSync(join(here, 'vu.js'), join(work, 'standin-vu.mjs'));
	mkdirSync(join(work, 'node_modules/k6'), { recursive: true });
	for (const name of ['package.json', 'index.js', 'http.js'])
		cpSync(join(here, name), join(work, 'node_modules/k6', name));
	cpSync(join(here, 'type.json'), join(work, 'package.json'));
	return work;
}

function send(order, agent) {
	return new Promise((resolve) => {
		const begun = performance.now();
		const finish = (answer) => {
			const duration = performance.now() - begun;
			durations.push(duration);
			if (!answer.status || answer.status >= 400)
				failed++;
			resolve({ error: '', body: null, ...answer, timings: { duration } });
		};
		const headers = { ...order.headers, 'User-Agent': 'stand-in-for-k6' };
		if (order.body !== null)
			headers['Content-Length'] = Buffer.byteLength(order.body);
		const rq = http.request(order.url, { method: order.method, headers, agent, timeout: ms(order.timeout) });
		rq.on('response', (rs) => {
			let body = '';
			rs.setEncoding('utf8');
			rs.on('data', (piece) => (body += piece));
			rs.on('end', () => finish({ status: rs.statusCode, body }));
			rs.on('error', (e) => finish({ status: 0, error: e.message }));
		});
		rq.on('timeout', () => rq.destroy(new Error('request timeout')));
		rq.on('error', (e) => finish({ status: 0, error: e.message }));
		rq.end(order.body ?? undefined);
	});
}

function start_vu(work, script, vu, job, data) {
	const { port1, port2 } = new MessageChannel();
	const answered = new SharedArrayBuffer(4), wanted = new SharedArrayBuffer(4);
	const agent = new http.Agent({ keepAlive: true });
	const worker = new Worker(pathToFileURL(join(work, 'standin-vu.mjs')), {
		workerData: { vu, job, data, script: join(work, basename(script)), port: port2, answered, wanted },
		transferList: [port2],
	});
	const self = { worker, port: port1, agent, wanted: new Int32Array(wanted), busy: false, gone: false };

	port1.on('message', async (order) => {
		port1.postMessage(await send(order, agent));
		Atomics.store(new Int32Array(answered), 0, 1);
		Atomics.notify(new Int32Array(answered), 0);
	});
	worker.on('message', (m) => {
		if (m.check !== undefined) {
			const c = checks.get(m.check) || { name: m.check, ok: 0, fails: 0 };
			c[m.ok ? 'ok' : 'fails']++;
			checks.set(m.check, c);
		} else if (m.begun) {
			self.busy = true;
		} else if (m.ended) {
			self.busy = false;
			iterations++;
			if (m.error) {
				exceptions++;
				console.error(`stand-in: ${m.error}`);
			}
		}
	});
	worker.on('exit', () => (self.gone = true));
	return self;
}

function end_vu(vu) {
	vu.port.close();
	vu.agent.destroy();
	return vu.worker.terminate();
}

// options, setup or teardown, in a thread as every VU is.
async function once(work, script, job, data) {
	const vu = start_vu(work, script, 0, job, data);
	const answer = await new Promise((resolve, reject) => {
		vu.worker.on('message', (m) => m.done && resolve(m));
		vu.worker.on('error', reject);
	});
	await end_vu(vu);
	if (answer.error)
		throw new Error(`${job}: ${answer.error}`);
	return answer.value;
}

function vus_at(scenario, elapsed) {
	let from = scenario.startVUs;

	for (const stage of scenario.stages) {
		const length = ms(stage.duration);
		if (elapsed < length)
			return Math.round(from + ((stage.target - from) * elapsed) / length);
		elapsed -= length;
		from = stage.target;
	}
	return 0;
}

const tick = () => new Promise((resolve) => setTimeout(resolve, TICK_MS));

async function ramp(work, script, scenario, data) {
	const total = scenario.stages.reduce((sum, stage) => sum + ms(stage.duration), 0);
	const begun = performance.now(), vus = [];
	const want = (vu, state) => {
		Atomics.store(vu.wanted, 0, state);
		Atomics.notify(vu.wanted, 0);
	};

	while (!stopping && performance.now() - begun < total) {
		const nr = vus_at(scenario, performance.now() - begun);
		while (vus.length < nr)
			vus.push(start_vu(work, script, vus.length + 1, 'iterate', data));
		vus_max = Math.max(vus_max, nr);
		vus.forEach((vu, i) => want(vu, i < nr ? 1 : 0));
		await tick();
	}
	const over = performance.now() + ms(scenario.gracefulStop);
	vus.forEach((vu) => want(vu, 2));
	while (vus.some((vu) => !vu.gone) && performance.now() < over)
		await tick();
	await Promise.all(vus.map(end_vu));
}

function measure(metric, stat) {
	const sorted = [...durations].sort((a, b) => a - b);
	const all = [...checks.values()];
	const ok = all.reduce((sum, c) => sum + c.ok, 0), fails = all.reduce((sum, c) => sum + c.fails, 0);
	const percentile = /^p\(([0-9.]+)\)$/.exec(stat);

	if (metric === 'http_req_duration' && percentile)
		return sorted[Math.max(0, Math.ceil((percentile[1] / 100) * sorted.length) - 1)];
	if (metric === 'http_req_failed' && stat === 'rate')
		return failed / durations.length;
	if (metric === 'checks' && stat === 'rate')
		return ok / (ok + fails);
	throw new Error(`the stand-in for k6 does not know the threshold ${metric} ${stat}`);
}

function judge(metric, text) {
	const m = /^(.+?)(<=|>=|<|>)([0-9.]+)$/.exec(text);
	if (!m)
		throw new Error(`${text} is no threshold`);
	const value = measure(metric, m[1]), limit = Number(m[3]);
	const ok = { '<': value < limit, '<=': value <= limit, '>': value > limit, '>=': value >= limit }[m[2]];

	return { expr: `${metric}:${text}`, ok, value };
}

async function main(script) {
	console.error('stand-in: this is not k6, but a thin stand-in for its modules in Node');
	process.on('SIGINT', () => (stopping = true));
	process.on('SIGTERM', () => (stopping = true));
	const work = lay_out(script);

	try {
		const options = await once(work, script, 'options', null);
		const scenario = Object.values(options.scenarios)[0];
		if (Object.keys(options.scenarios).length !== 1 || scenario.executor !== 'ramping-vus')
			throw new Error('the stand-in for k6 knows one scenario of ramping-vus');
		const data = await once(work, script, 'setup', null);
		try {
			await ramp(work, script, scenario, data);
		} finally {
			await once(work, script, 'teardown', data);
		}
		const thresholds = Object.entries(options.thresholds).flatMap(([metric, texts]) =>
			texts.map((text) => judge(metric, text)));
		const passed = thresholds.every((t) => t.ok) && exceptions === 0;

		console.log(JSON.stringify({ by: 'a stand-in for k6', script: basename(script), vus_max, requests: durations.length,
			errors: failed, iterations, exceptions, checks: [...checks.values()], thresholds, passed }));
		return exceptions ? SCRIPT_FAILED : passed ? 0 : CROSSED;
	} catch (e) {
		console.error(`stand-in: ${e.message}`);
		return SCRIPT_FAILED;
	} finally {
		rmSync(work, { recursive: true, force: true });
	}
}

process.exitCode = await main(process.argv[2]);
