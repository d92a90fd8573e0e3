// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The service graph, drawn. Edges as wide as their rate; a node tells rate,
 * errors and p99, and in words what is wrong with it. Zoom by + − ⤢ (or Ctrl and
 * the wheel), drag the ground or a node; by keyboard Tab, arrows and Enter.
 */
import {useComputed, useSignal} from '@preact/signals';
import {useEffect, useMemo, useRef} from 'preact/hooks';
import {ms, percent, rate} from '../shared/format.ts';
import {tame} from '../shared/text.tsx';
import type {Edge, Service} from '../shared/types.ts';
import {curve, fold, nearest, place, type Placed, type Point, SIZES, structure} from './layout.ts';
import {past} from './past.ts';
import {edges, services, sick} from './store.ts';
import {ERRORS_BAD, words_of} from './state.ts';
import {live, service as selected, show_service} from './view.ts';

const NARROW = 620;
const ZOOM_MIN = 0.15;
const ZOOM_MAX = 2.5;
const LABELS_MAX = 30;
const CHARS = {across: 19, down: 14} as const;
const CHAR_W = 6.2; /* of an edge's label, 12 px */

interface Sight {
	x: number;
	y: number;
	k: number;
}

function fit(p: Placed, width: number, height: number): Sight {
	const k = Math.min(1.15, width / Math.max(1, p.width), height / Math.max(1, p.height));
	return {k, x: (width - p.width * k) / 2, y: (height - p.height * k) / 2};
}

/* Its own text is its name to a screen reader. */
function Node({name, s, at, down, on}: {name: string; s: Service | undefined; at: Point; down: boolean; on: NodeEvents}) {
	const way = down ? 'down' : 'across';
	const {node: wide, height: high} = SIZES[way];
	/* Of the past only the numbers are known. */
	const words = s && live.value ? words_of(s) : [];
	const kind = words[0]?.kind ?? (s ? 'well' : 'outside');
	const hurt = words.some((w) => w.kind === 'injected');
	const numbers = s ? `${rate(s.rate_per_s)} · ${percent(s.error_ratio)}` : down ? 'not watched' : 'callers we do not watch';
	return (
		<g
			class={`node ${kind}${selected.value === name ? ' selected' : ''}`}
			transform={`translate(${at.x - wide / 2} ${at.y - high / 2})`}
			role="button"
			tabindex={0}
			aria-pressed={selected.value === name}
			data-name={name}
			onKeyDown={(e) => on.key(e, name)}
			onPointerDown={(e) => on.grab(e, name)}
		>
			<rect width={wide} height={high} rx="8" class="box" />
			{hurt && <rect width={wide} height={high} rx="8" fill="url(#hatch)" class="hurt" />}
			<text x="12" y="22" class="who">{tame(name, CHARS[way])} </text>
			<text x="12" y="42">{numbers} </text>
			{s && (
				<text x="12" y="62" class="soft">
					{words[0] ? `${words[0].glyph} ${words[0].text} ` : `p99 ${ms(s.latency_ms?.p99)}`}
				</text>
			)}
			{s && words[0] && <text x={down ? 12 : wide - 12} y={down ? 82 : 62} text-anchor={down ? 'start' : 'end'} class="soft">p99 {ms(s.latency_ms?.p99)}</text>}
			{words.slice(1, 4).map((w, i) => (
				<text key={w.text} x={wide - 12 - i * 16} y="22" text-anchor="end" class={`mark ${w.kind}`}>{w.glyph}</text>
			))}
		</g>
	);
}

interface NodeEvents {
	key: (e: KeyboardEvent, name: string) => void;
	grab: (e: PointerEvent, name: string) => void;
}

function Wire({e, points, label, labelled, down}: {e: Edge; points: readonly Point[]; label: Point; labelled: boolean; down: boolean}) {
	const bad = e.error_ratio > ERRORS_BAD;
	const width = Math.min(9, 1.5 + Math.sqrt(Math.max(0, e.rate_per_s)) / 2);
	const idle = !(e.rate_per_s > 0);
	const text = down ? (bad ? `✕ ${percent(e.error_ratio)}` : rate(e.rate_per_s)) : bad ? `${rate(e.rate_per_s)} ✕ ${percent(e.error_ratio)}` : `${rate(e.rate_per_s)} · ${ms(e.at_server.p99_ms)}`;
	return (
		<g class={`wire${bad ? ' failing' : ''}${idle ? ' idle' : ''}`}>
			<path d={curve(points)} stroke-width={width} marker-end={bad ? 'url(#tip-bad)' : 'url(#tip)'} />
			{labelled && !idle && (
				<>
				<rect x={label.x - text.length * CHAR_W / 2 - 2} y={label.y - 9} width={text.length * CHAR_W + 4} height="18" rx="4" />
				<text x={label.x} y={label.y + 4} text-anchor="middle">
					<title>{`${tame(e.client, 64)} calls ${tame(e.server, 64)}: ${rate(e.rate_per_s)}, ${percent(e.error_ratio)} errors, p99 ${ms(e.at_server.p99_ms)} at the server, ${ms(e.at_client.p99_ms)} at the client`}</title>
					{text}
				</text>
				</>
			)}
		</g>
	);
}

/** What a person moved stays where it was put; its edges become plain curves. */
function straight(a: Point, b: Point, down: boolean): Point[] {
	const [from, to] = down
		? [{x: a.x, y: a.y + SIZES.down.height / 2}, {x: b.x, y: b.y - SIZES.down.height / 2}]
		: [{x: a.x + SIZES.across.node / 2, y: a.y}, {x: b.x - SIZES.across.node / 2, y: b.y}];
	const bend = down ? [{x: from.x, y: (from.y + to.y) / 2}, {x: to.x, y: (from.y + to.y) / 2}] : [{x: (from.x + to.x) / 2, y: from.y}, {x: (from.x + to.x) / 2, y: to.y}];
	return [from, ...bend, to];
}

function Defs() {
	const tip = (id: string, cls: string) => (
		<marker id={id} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="10" markerHeight="10" markerUnits="userSpaceOnUse" orient="auto">
			<path d="M0,0L8,4L0,8z" class={cls} />
		</marker>
	);
	return (
		<defs>
			<pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
				<rect width="2" height="8" class="hatch" />
			</pattern>
			{tip('tip', 'tip')}
			{tip('tip-bad', 'tip bad')}
		</defs>
	);
}

function use_size(ref: {current: Element | null}) {
	const size = useSignal({width: 0, height: 0});
	useEffect(() => {
		const el = ref.current;
		if (!el)
			return;
		const watch = new ResizeObserver(() => {
			size.value = {width: el.clientWidth, height: el.clientHeight};
		});
		watch.observe(el);
		return () => watch.disconnect();
	}, []);
	return size;
}

export function ServiceMap() {
	const svg = useRef<SVGSVGElement>(null);
	const size = use_size(svg);
	const sight = useSignal<Sight | null>(null);
	const moved = useSignal<ReadonlyMap<string, Point>>(new Map());
	const folded = useComputed(() => fold(services.value, edges.value, [...(selected.value ? [selected.value] : []), ...sick.value]));
	const down = size.value.width > 0 && size.value.width < NARROW;
	const shape = structure(folded.value, down);
	const placed = useMemo(() => place(folded.value, down), [shape]);
	const by_name = new Map((live.value ? services.value : (past.value.services ?? services.value)).map((s) => [s.name, s]));
	const middle = (n: string) => moved.value.get(n) ?? placed.nodes.get(n) ?? {x: 0, y: 0};

	useEffect(() => {
		sight.value = null;
		moved.value = new Map();
	}, [placed]);

	const seen = sight.value ?? fit(placed, size.value.width, size.value.height);
	const zoom_by = (factor: number, at: Point = {x: size.value.width / 2, y: size.value.height / 2}) => {
		const k = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, seen.k * factor));
		sight.value = {k, x: at.x - ((at.x - seen.x) * k) / seen.k, y: at.y - ((at.y - seen.y) * k) / seen.k};
	};
	/* Follows the pointer until it is let go; a node that hardly moved was clicked. */
	const drag = (e: PointerEvent, move: (dx: number, dy: number) => void, click?: () => void) => {
		const target = svg.current;
		if (e.button !== 0 || !target)
			return;
		let far = false;
		const moving = (m: PointerEvent) => {
			far ||= Math.hypot(m.clientX - e.clientX, m.clientY - e.clientY) > 4;
			if (far)
				move(m.clientX - e.clientX, m.clientY - e.clientY);
		};
		const end = (m: PointerEvent) => {
			target.removeEventListener('pointermove', moving);
			target.removeEventListener('pointerup', end);
			target.removeEventListener('pointercancel', end);
			if (!far && m.type === 'pointerup')
				click?.();
		};
		target.setPointerCapture(e.pointerId);
		target.addEventListener('pointermove', moving);
		target.addEventListener('pointerup', end);
		target.addEventListener('pointercancel', end);
	};
	const choose = (name: string) => {
		if (by_name.has(name))
			show_service(name);
	};
	const on: NodeEvents = {
		key(e, name) {
			const arrows: Record<string, [number, number]> = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
			const way = arrows[e.key];
			if (e.key === 'Enter' || e.key === ' ')
				choose(name);
			else if (way) {
				const next = nearest(new Map(folded.value.names.map((n) => [n, middle(n)])), name, way[0], way[1]);
				svg.current?.querySelector<SVGGElement>(`[data-name="${CSS.escape(next ?? name)}"]`)?.focus();
			} else
				return;
			e.preventDefault();
		},
		grab(e, name) {
			e.stopPropagation();
			const from = middle(name);
			drag(e, (dx, dy) => {
				moved.value = new Map(moved.value).set(name, {x: from.x + dx / seen.k, y: from.y + dy / seen.k});
			}, () => choose(name));
		},
	};
	const labelled = (e: Edge) => live.value && (folded.value.edges.length <= LABELS_MAX || e.client === selected.value || e.server === selected.value);
	const edge_of = new Map(folded.value.edges.map((e) => [`${e.client}\n${e.server}`, e]));

	return (
		<section class="panel map" aria-label="Service map">
			<div class="row head">
				<h2>Map</h2>
				<span class="soft small grow hint">
					{folded.value.hidden
						? `${folded.value.names.length} shown: what is selected or sick, and its neighbours; ${folded.value.hidden} more are in the table`
						: 'who calls whom: requests per second · p99'}
				</span>
				<button type="button" aria-label="Zoom in" onClick={() => zoom_by(1.3)}>+</button>
				<button type="button" aria-label="Zoom out" onClick={() => zoom_by(1 / 1.3)}>−</button>
				<button
					type="button"
					aria-label="Fit the whole map, and put every node back"
					onClick={() => {
						sight.value = null;
						moved.value = new Map();
					}}
				>
					⤢
				</button>
			</div>
			<svg
				ref={svg}
				class="graph"
				onPointerDown={(e) => {
					const from = seen;
					drag(e, (dx, dy) => {
						sight.value = {...from, x: from.x + dx, y: from.y + dy};
					});
				}}
				onWheel={(e) => {
					if (!e.ctrlKey)
						return;
					e.preventDefault();
					const box = svg.current?.getBoundingClientRect();
					zoom_by(e.deltaY < 0 ? 1.1 : 1 / 1.1, {x: e.clientX - (box?.left ?? 0), y: e.clientY - (box?.top ?? 0)});
				}}
			>
				<Defs />
				<g transform={`translate(${seen.x} ${seen.y}) scale(${seen.k})`}>
					{placed.edges.map((p) => {
						const e = edge_of.get(`${p.client}\n${p.server}`);
						if (!e)
							return null;
						const loose = moved.value.has(p.client) || moved.value.has(p.server);
						const a = middle(p.client);
						const b = middle(p.server);
						return (
							<Wire
								key={`${p.client}\n${p.server}`}
								e={e}
								points={loose ? straight(a, b, down) : p.points}
								label={loose ? {x: (a.x + b.x) / 2, y: (a.y + b.y) / 2} : p.label}
								labelled={labelled(e)}
								down={down}
							/>
						);
					})}
					{folded.value.names.map((n) => (
						<Node key={n} name={n} s={by_name.get(n)} at={middle(n)} down={down} on={on} />
					))}
				</g>
			</svg>
		</section>
	);
}

