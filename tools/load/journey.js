// SPDX-License-Identifier: GPL-2.0-or-later
// What the four k6 scripts share: the shapes, a customer's journey, and the faults of --with-failures.
//
// Shapes and thresholds are shapes.json's, which archaic-load reads too; the journey is
// journey.c's, check for check. A customer (one VU) signs up once, then comes back again
// and again: logs in, lists products, adds one to the cart, looks at it, checks out.
import http from 'k6/http';
import { check, sleep } from 'k6';

/**
 * @typedef {{ start_vus: number, stages: { duration: string, target: number }[],
 *   thresholds: Record<string, string[]>, thresholds_with_failures: Record<string, string[]> }} Shape
 * @typedef {{ step_pause_s: number, pause_s: number, grace_s: number, shapes: Record<string, Shape> }} Shapes
 * @typedef {{ run: string }} Run
 * @typedef {import('k6/http').RefinedResponse<'text'>} Answer
 */

const PRODUCTS = 5;
const TIMEOUT = '15s';
const MARGIN_S = 30; // faults outlive the run by so much at most

/** @type {Shapes} */
const all = JSON.parse(open('./shapes.json'));
const withFailures = __ENV.WITH_FAILURES === '1';
const url = {
	auth: __ENV.AUTH_SERVICE_URL || 'http://127.0.0.1:8001',
	db: __ENV.DB_SERVICE_URL || 'http://127.0.0.1:8002',
	product: __ENV.PRODUCT_SERVICE_URL || 'http://127.0.0.1:8003',
	payment: __ENV.PAYMENT_SERVICE_URL || 'http://127.0.0.1:8004',
};

/** @param {string} text "30s", "2m" @returns {number} */
function seconds(text) {
	const m = /^([0-9.]+)(s|m)$/.exec(text);
	if (!m)
		throw new Error(`${text} is no duration`);
	return Number(m[1]) * (m[2] === 'm' ? 60 : 1);
}

/** @param {Shape} shape @returns {number} */
function lengthOf(shape) {
	return shape.stages.reduce((sum, stage) => sum + seconds(stage.duration), 0);
}

/**
 * k6's options for a shape. SQUEEZE_S in the environment: the same shape within so many seconds.
 * @param {string} name
 * @returns {import('k6/options').Options}
 */
export function optionsOf(name) {
	const shape = all.shapes[name];
	const squeeze = __ENV.SQUEEZE_S ? Number(__ENV.SQUEEZE_S) / lengthOf(shape) : 1;
	const grace = `${all.grace_s}s`;

	return {
		scenarios: {
			[name]: {
				executor: 'ramping-vus',
				startVUs: shape.start_vus,
				stages: shape.stages.map((stage) => ({
					duration: `${Math.round(seconds(stage.duration) * squeeze * 1000)}ms`,
					target: stage.target,
				})),
				gracefulRampDown: grace,
				gracefulStop: grace,
			},
		},
		thresholds: withFailures ? shape.thresholds_with_failures : shape.thresholds,
		summaryTrendStats: ['min', 'avg', 'med', 'p(90)', 'p(95)', 'p(99)', 'max'],
	};
}

/** @param {string} service @param {string} path */
function order(service, path) {
	/** @type {Record<string, string>} */
	const headers = __ENV.ARCHAIC_TOKEN ? { Authorization: `Bearer ${__ENV.ARCHAIC_TOKEN}` } : {};
	const answer = http.post(service + path, null, { headers, responseType: 'text', timeout: TIMEOUT });

	if (answer.status !== 200)
		throw new Error(`${service}${path} answers ${answer.status || answer.error}: ${answer.body}`);
}

/**
 * Once, before the load.
 * @param {string} name
 * @returns {Run}
 */
export function begin(name) {
	if (withFailures) {
		const duration = Math.ceil(lengthOf(all.shapes[name]) + all.grace_s + MARGIN_S);

		order(url.db, `/inject-failure?type=timeout&probability=0.2&duration=${duration}`);
		try {
			order(url.auth, `/inject-failure?type=error&probability=0.1&duration=${duration}`);
		} catch (e) {
			order(url.db, '/reset');
			throw e;
		}
	}
	return { run: Math.floor(Math.random() * 0x100000000).toString(16) };
}

/** Once, after it; also after Ctrl-C. */
export function end() {
	if (!withFailures)
		return;
	try {
		order(url.db, '/reset');
	} finally {
		order(url.auth, '/reset');
	}
}

// One VU's own: k6 runs each VU in a runtime of its own.
let signedUp = false;
let token = '';
let journeys = 0;

/** @param {number} s about so long: a half to one and a half of it */
function pause(s) {
	sleep(s * (0.5 + Math.random()));
}

/**
 * @param {'GET' | 'POST'} method
 * @param {string} service
 * @param {string} path
 * @param {object | null} body
 * @returns {Answer}
 */
function ask(method, service, path, body) {
	/** @type {Record<string, string>} */
	const headers = { Accept: 'application/json' };

	if (body)
		headers['Content-Type'] = 'application/json';
	if (token && service !== url.auth)
		headers.Authorization = `Bearer ${token}`;
	return http.request(method, service + path, body ? JSON.stringify(body) : null, {
		headers,
		responseType: 'text',
		timeout: TIMEOUT,
		tags: { name: path },
	});
}

/** @param {Answer} answer @returns {any} {} where it is no JSON */
function read(answer) {
	try {
		return JSON.parse(answer.body || '{}') || {};
	} catch (e) {
		return {};
	}
}

/**
 * A step's check, and the pause behind it.
 * @param {string} name
 * @param {Answer} answer
 * @param {boolean} holds
 * @returns {boolean}
 */
function step(name, answer, holds) {
	check(answer, { [name]: () => holds });
	return holds;
}

/** @param {Run} run @returns {boolean} logged in? */
function logIn(run) {
	const account = { email: `user-${run.run}-${__VU}@k6.example`, password: `pass of ${run.run}` };

	if (!signedUp) {
		const answer = ask('POST', url.auth, '/signup', account);
		// 409: the account was made by a request whose answer was lost.
		signedUp = answer.status === 201 || answer.status === 409;
		step('signed up', answer, answer.status === 201);
		if (!signedUp)
			return false;
		pause(all.step_pause_s);
	}
	const answer = ask('POST', url.auth, '/login', account);
	const given = answer.status === 200 ? read(answer).access_token : '';
	token = typeof given === 'string' ? given : '';
	if (answer.status === 401)
		signedUp = false; // auth was started again, and keeps its users in memory
	return step('logged in', answer, token !== '');
}

/** A checkout that fails leaves a cart that would grow for ever. */
function clearCart() {
	pause(all.step_pause_s);
	const answer = ask('POST', url.product, '/cart/clear', {});
	step('cart cleared', answer, answer.status === 200);
}

function shop() {
	const product_id = `p${((__VU + journeys) % PRODUCTS) + 1}`;

	let answer = ask('GET', url.product, '/products', null);
	const products = read(answer).products;
	step('products listed', answer, answer.status === 200 && Array.isArray(products) && products.length >= PRODUCTS);
	if (answer.status === 401) {
		token = '';
		return;
	}
	pause(all.step_pause_s);

	answer = ask('POST', url.product, '/cart/add', { product_id, quantity: (journeys % 3) + 1 });
	if (!step('added to cart', answer, answer.status === 200))
		return;
	pause(all.step_pause_s);

	answer = ask('GET', url.product, '/cart', null);
	const items = read(answer).items;
	step('cart shows it', answer, answer.status === 200 && Array.isArray(items) &&
		items.some((item) => item && item.product_id === product_id));
	pause(all.step_pause_s);

	answer = ask('POST', url.payment, '/create-checkout-session', {});
	if (!step('checked out', answer, answer.status === 200 && typeof read(answer).payment_status === 'string'))
		clearCart();
}

/** One iteration of one VU. @param {Run} run */
export function journey(run) {
	journeys++;
	if (logIn(run)) {
		pause(all.step_pause_s);
		shop();
	}
	pause(all.pause_s);
}
