// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The real daemon, started with the options that a test wants, over services
 * and traffic that run.sh has started in this network namespace.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {mkdtempSync, openSync, closeSync, rmSync} from 'node:fs';
import {request} from 'node:http';
import {connect, createServer, type Server, type Socket} from 'node:net';
import {join} from 'node:path';

const BIN = process.env['ARCHAIC_BIN'] ?? '';
const RUN_DIR = process.env['RUN_DIR'] ?? '';
export const SOCKET = join(RUN_DIR, 'control.sock');
export const SCREENS = process.env['ARCHAIC_SCREENS'] ?? 'screens';
export const DASHBOARD = 'http://127.0.0.1:7000';
export const CHAOS = 'http://127.0.0.1:8080';
const SERVICES = [
	{name: 'auth', port: 8001},
	{name: 'db', port: 8002},
	{name: 'product', port: 8003},
	{name: 'payment', port: 8004},
];
const START_MS = 30_000;

export const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

export interface Reply {
	status: number;
	body: any;
}

/** api() - ask the daemon over its control socket, beside all pages. */
export function api(method: string, path: string, body?: unknown): Promise<Reply> {
	const text = body === undefined ? undefined : JSON.stringify(body);
	return new Promise((done, failed) => {
		const req = request(
			{
				socketPath: SOCKET,
				method,
				path,
				headers: {Host: 'localhost', ...(text ? {'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text)} : {})},
				timeout: 30_000,
			},
			(res) => {
				let got = '';
				res.setEncoding('utf8');
				res.on('data', (chunk: string) => (got += chunk));
				res.on('end', () => {
					let parsed: unknown = got;
					try {
						parsed = JSON.parse(got);
					} catch {
						/* Markdown, or nothing. */
					}
					done({status: res.statusCode ?? 0, body: parsed});
				});
			},
		);
		req.on('error', failed);
		req.on('timeout', () => req.destroy(new Error('time-out')));
		req.end(text);
	});
}

/** until() - poll @probe until it answers something true. */
export async function until<T>(what: string, ms: number, probe: () => Promise<T | undefined | false | null>): Promise<T> {
	const end = Date.now() + ms;
	for (;;) {
		const got = await probe().catch(() => undefined);
		if (got)
			return got;
		if (Date.now() > end)
			throw new Error(`not within ${ms} ms: ${what}`);
		await pause(100);
	}
}

export class Daemon {
	#child: ChildProcess | undefined;
	#state = '';

	async start(options: readonly string[], attach: boolean): Promise<void> {
		this.#state = mkdtempSync(join(RUN_DIR, 'state-'));
		const log = openSync(join(RUN_DIR, 'daemon.log'), 'a');
		this.#child = spawn(join(BIN, 'archaic-ebpf'), ['run', '--run-dir', RUN_DIR, '--state-dir', this.#state, ...options], {
			stdio: ['ignore', log, log],
		});
		closeSync(log);
		const ended = new Promise<never>((_, failed) => this.#child?.once('exit', () => failed(new Error('the daemon ended; see daemon.log'))));
		ended.catch(() => undefined);
		await Promise.race([ended, until('the daemon answers', START_MS, async () => (await api('GET', '/v1/health')).status === 200)]);
		if (!attach)
			return;
		for (const s of SERVICES)
			await until(`${s.name} is attached`, 10_000, async () => (await api('POST', '/v1/services', {...s, supervised: true})).status === 201);
		await until('traffic is seen', START_MS, async () => (await api('GET', '/v1/services/db')).body.rate_per_s > 5);
	}

	signal(name: NodeJS.Signals): void {
		this.#child?.kill(name);
	}

	async stop(): Promise<void> {
		const child = this.#child;
		this.#child = undefined;
		if (child && child.exitCode === null) {
			const gone = new Promise((done) => child.once('exit', done));
			child.kill('SIGTERM');
			await Promise.race([gone, pause(10_000)]);
			if (child.exitCode === null && child.signalCode === null) {
				child.kill('SIGKILL');
				throw new Error('the daemon did not stop within 10 s');
			}
		}
		if (this.#state)
			rmSync(this.#state, {recursive: true, force: true});
	}
}

/** A wire between browser and daemon that can be cut: connections end, and none is taken. */
export class Wire {
	#server: Server | undefined;
	#sockets = new Set<Socket>();
	#port = 0;
	readonly #to: number;

	constructor(to: number) {
		this.#to = to;
	}

	get url(): string {
		return `http://127.0.0.1:${this.#port}`;
	}

	async mend(): Promise<void> {
		const server = createServer((near) => {
			const far = connect(this.#to, '127.0.0.1');
			for (const s of [near, far]) {
				this.#sockets.add(s);
				s.on('error', () => s.destroy());
				s.on('close', () => this.#sockets.delete(s));
			}
			near.pipe(far).pipe(near);
		});
		await new Promise<void>((done) => server.listen(this.#port, '127.0.0.1', done));
		const at = server.address();
		this.#port = typeof at === 'object' && at ? at.port : 0;
		this.#server = server;
	}

	async cut(): Promise<void> {
		const server = this.#server;
		this.#server = undefined;
		this.#sockets.forEach((s) => s.destroy());
		await new Promise<void>((done) => (server ? server.close(() => done()) : done()));
	}
}
