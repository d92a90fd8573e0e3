// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One chart on the common x axis. uPlot draws; all charts share one cursor
 * (its sync key, and the signal `cursor_at` for the numbers beside the titles),
 * the same range and the same width of axis, so that they can be laid over one
 * another by eye. Dragging across a chart zooms; the arrow keys move the cursor.
 */
import {signal} from '@preact/signals';
import {useEffect, useRef} from 'preact/hooks';
import uPlot from 'uplot';
import {clock, UNKNOWN} from '../shared/format.ts';
import {colour, dark} from '../shared/theme.ts';
import type {Band, Mark} from './bands.ts';
import {set_range, zoom} from './view.ts';

/** Where the cursor is, in seconds since 1970; null: nowhere, and the newest numbers are shown. */
export const cursor_at = signal<number | null>(null);

const SYNC = 'archaic';
const HEIGHT = 132;
const AXIS_LEFT = 64;
const LINES = ['c1', 'c2', 'c3'] as const;
const DASHES = [[], [6, 3], [2, 3]] as const;

export interface Line {
	label: string;
	values: readonly (number | null)[];
}

export interface ChartProps {
	title: string;
	times: readonly number[];
	lines: readonly Line[];
	unit: (v: number | null | undefined) => string;
	from: number;
	to: number;
	log?: boolean;
	/** Upper end of the y axis where nothing is higher. */
	least?: number;
	/** Upper end that nothing exceeds, such as 1 for a ratio. */
	most?: number;
	bands?: readonly Band[];
	marks?: readonly Mark[];
	/** Draws instead of lines; y is then its own scale of [low, high]. */
	paint?: (u: uPlot) => void;
	y_range?: readonly [number, number];
	hint?: string;
	/** How a line's value is told, where that is not the axis's unit. */
	said?: (v: number | null | undefined) => string;
}

function hatch(ctx: CanvasRenderingContext2D, ink: string): CanvasPattern | string {
	const tile = document.createElement('canvas');
	tile.width = tile.height = 8;
	const t = tile.getContext('2d');
	if (!t)
		return ink;
	t.strokeStyle = ink;
	t.lineWidth = 1.5;
	t.beginPath();
	t.moveTo(-2, 10);
	t.lineTo(10, -2);
	t.moveTo(-2, 2);
	t.lineTo(2, -2);
	t.moveTo(6, 10);
	t.lineTo(10, 6);
	t.stroke();
	return ctx.createPattern(tile, 'repeat') ?? ink;
}

function draw_bands(u: uPlot, bands: readonly Band[]): void {
	const {ctx, bbox} = u;
	const [low, high] = [u.scales['x']?.min ?? 0, u.scales['x']?.max ?? 0];
	ctx.save();
	for (const b of bands) {
		const from = Math.max(b.from, low);
		const to = Math.min(b.to, high);
		if (to < from)
			continue;
		const x = u.valToPos(from, 'x', true);
		const width = Math.max(2, u.valToPos(to, 'x', true) - x);
		const ink = colour(b.kind === 'fault' ? 'injected' : 'failing');
		ctx.globalAlpha = b.kind === 'fault' ? 0.45 : 0.13;
		ctx.fillStyle = b.kind === 'fault' ? hatch(ctx, ink) : ink;
		ctx.fillRect(x, bbox.top, width, bbox.height);
	}
	ctx.restore();
}

function draw_marks(u: uPlot, marks: readonly Mark[]): void {
	const {ctx, bbox} = u;
	const [low, high] = [u.scales['x']?.min ?? 0, u.scales['x']?.max ?? 0];
	ctx.save();
	ctx.strokeStyle = ctx.fillStyle = colour('text');
	ctx.lineWidth = devicePixelRatio;
	ctx.setLineDash([3, 3]);
	ctx.font = `${11 * devicePixelRatio}px sans-serif`;
	ctx.textAlign = 'center';
	ctx.textBaseline = 'top';
	for (const m of marks) {
		if (m.at < low || m.at > high)
			continue;
		const x = u.valToPos(m.at, 'x', true);
		ctx.beginPath();
		ctx.moveTo(x, bbox.top + 12 * devicePixelRatio);
		ctx.lineTo(x, bbox.top + bbox.height);
		ctx.stroke();
		ctx.fillText(m.glyph, x, bbox.top);
	}
	ctx.restore();
}

function time_ticks(_u: uPlot, ticks: number[], _i: number, _space: number, step: number): string[] {
	return ticks.map((t) => {
		const text = clock(t * 1000, t * 1000);
		return step < 60 ? text : text.slice(0, 5);
	});
}

const DECADES_MAX = 4;

/** decades() - a logarithmic axis has a line for each power of ten, or for every second or third. */
function decades(_u: uPlot, _axis: number, low: number, high: number): number[] {
	const first = Math.ceil(Math.log10(low) - 1e-9);
	const last = Math.floor(Math.log10(high) + 1e-9);
	const every = Math.ceil((last - first) / DECADES_MAX) || 1;
	return Array.from({length: Math.floor((last - first) / every) + 1}, (_, i) => 10 ** (first + i * every));
}

function y_scale(p: () => ChartProps): uPlot.Scale {
	return {
		...(p().log ? {distr: 3 as const} : {}),
		range: (_u, low, high) => {
			const {y_range, log, least, most} = p();
			if (y_range)
				return [y_range[0], y_range[1]];
			if (log) {
				const from = 10 ** Math.floor(Math.log10(Math.max(low || 1, 1e-3)));
				return [from, Math.max(from * 10, 10 ** Math.ceil(Math.log10(Math.max(high || 10, 1e-2))))];
			}
			const top = Math.max((high || 0) * 1.1, least ?? 0) || 1;
			return [0, most === undefined ? top : Math.min(most, top)];
		},
	};
}

/** alone() - points without a neighbour: no line would show them. */
function alone(u: uPlot, series: number): number[] {
	const values = u.data[series] ?? [];
	const known = (i: number) => values[i] !== null && values[i] !== undefined;
	const found: number[] = [];
	for (let i = 0; i < values.length; i++)
		if (known(i) && !known(i - 1) && !known(i + 1))
			found.push(i);
	return found;
}

function options(p: () => ChartProps, width: number): uPlot.Options {
	const ink = colour('soft');
	const rule = {stroke: colour('line'), width: 1};
	const axis = {stroke: ink, grid: rule, ticks: {...rule, size: 4}, font: '11px sans-serif'};
	return {
		width,
		height: HEIGHT,
		legend: {show: false},
		padding: [6, 8, 0, 0],
		cursor: {
			sync: {key: SYNC, setSeries: false},
			drag: {x: true, y: false, setScale: false},
			points: {size: 5},
			y: false,
		},
		scales: {
			x: {time: true, range: () => [p().from, p().to]},
			y: y_scale(p),
		},
		axes: [
			{...axis, size: 26, space: 46, values: time_ticks},
			{
				...axis,
				size: AXIS_LEFT,
				space: 28,
				...(p().log ? {splits: decades} : {}),
				values: (_u, ticks) => ticks.map((v) => (v === null ? '' : p().unit(v))),
			},
		],
		series: [
			{},
			...p().lines.map((_, i) => ({
				stroke: p().paint ? 'transparent' : colour(LINES[i % LINES.length] ?? 'c1'),
				width: 1.5,
				dash: [...(DASHES[i % DASHES.length] ?? [])],
				spanGaps: false,
				points: {show: true, size: 4, filter: alone},
			})),
		],
		hooks: {
			drawAxes: [(u) => draw_bands(u, p().bands ?? [])],
			draw: [
				(u) => {
					p().paint?.(u);
					draw_marks(u, p().marks ?? []);
				},
			],
			setCursor: [
				(u) => {
					const i = u.cursor.idx;
					const at = (u.cursor.left ?? -1) < 0 || i === null || i === undefined ? null : (p().times[i] ?? null);
					if (at !== cursor_at.peek())
						cursor_at.value = at;
				},
			],
			setSelect: [
				(u) => {
					if (u.select.width < 4)
						return;
					set_range(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'));
					u.setSelect({left: 0, top: 0, width: 0, height: 0}, false);
				},
			],
		},
	};
}

/** index_at() - which point the numbers are of: the cursor's, else the last that is known. */
export function index_at(times: readonly number[], at: number | null, known: (i: number) => boolean): number {
	if (at !== null) {
		const step = (times[1] ?? 1) - (times[0] ?? 0) || 1;
		return Math.round((at - (times[0] ?? 0)) / step);
	}
	for (let i = times.length - 1; i >= 0 && i >= times.length - 10; i--)
		if (known(i))
			return i;
	return times.length - 1;
}

function Legend({p}: {p: ChartProps}) {
	const i = index_at(p.times, cursor_at.value, (k) => p.lines.some((l) => l.values[k] !== null));
	return (
		<span class="legend">
			{p.lines.map((l, k) => (
				<span key={l.label} class="key">
					{!p.paint && (
						<svg width="16" height="8" aria-hidden="true">
							<line x1="0" y1="4" x2="16" y2="4" class={`ink-${LINES[k % LINES.length]}`} stroke-dasharray={(DASHES[k % DASHES.length] ?? []).join(' ')} />
						</svg>
					)}
					{p.lines.length > 1 ? `${l.label} ` : ''}
					<b>{(p.said ?? p.unit)(l.values[i])}</b>
				</span>
			))}
		</span>
	);
}

function spoken(p: ChartProps): string {
	const i = index_at(p.times, cursor_at.value, (k) => p.lines.some((l) => l.values[k] !== null));
	const at = p.times[i];
	const parts = p.lines.map((l) => {
		const v = l.values[i];
		return `${l.label} ${v === null || v === undefined ? 'unknown' : (p.said ?? p.unit)(v)}`;
	});
	return `${at === undefined ? UNKNOWN : clock(at * 1000)}: ${parts.join(', ')}`;
}

function on_key(e: KeyboardEvent, p: ChartProps, u: uPlot | null): void {
	const far = e.shiftKey ? 10 : 1;
	const last = p.times.length - 1;
	const i = index_at(p.times, cursor_at.peek(), () => true);
	let next: number;
	if (e.key === 'ArrowLeft')
		next = i - far;
	else if (e.key === 'ArrowRight')
		next = i + far;
	else if (e.key === 'Home')
		next = 0;
	else if (e.key === 'End')
		next = last;
	else if (e.key === '+' || e.key === '=')
		return zoom(0.5);
	else if (e.key === '-')
		return zoom(2);
	else if (e.key === 'Escape' && u)
		return u.setCursor({left: -10, top: -10});
	else
		return;
	e.preventDefault();
	const t = p.times[Math.min(last, Math.max(0, next))];
	if (t !== undefined && u)
		u.setCursor({left: u.valToPos(t, 'x'), top: 10});
}

export function Chart(props: ChartProps) {
	const box = useRef<HTMLDivElement>(null);
	const plot = useRef<uPlot | null>(null);
	const latest = useRef(props);
	latest.current = props;
	const shape = `${dark.value}|${props.log ?? false}|${props.lines.length}`;

	useEffect(() => {
		const el = box.current;
		if (!el)
			return;
		const data = () => [latest.current.times, ...latest.current.lines.map((l) => l.values)] as unknown as uPlot.AlignedData;
		const u = new uPlot(options(() => latest.current, Math.max(160, el.clientWidth)), data(), el);
		plot.current = u;
		const watch = new ResizeObserver(() => {
			if (el.clientWidth && el.clientWidth !== u.width)
				u.setSize({width: el.clientWidth, height: HEIGHT});
		});
		watch.observe(el);
		return () => {
			watch.disconnect();
			plot.current = null;
			u.destroy();
		};
	}, [shape]);

	useEffect(() => {
		plot.current?.setData([props.times, ...props.lines.map((l) => l.values)] as unknown as uPlot.AlignedData);
	}, [props.times, props.from, props.to, props.bands, props.marks, props.paint]);

	return (
		<figure class="panel chart">
			<figcaption class="row">
				<h3>{props.title}</h3>
				<Legend p={props} />
			</figcaption>
			<div
				ref={box}
				class="plot"
				role="slider"
				tabIndex={0}
				aria-label={`${props.title} over time${props.hint ? `, ${props.hint}` : ''}; arrow keys move the cursor`}
				aria-valuemin={props.from}
				aria-valuemax={props.to}
				aria-valuenow={cursor_at.value ?? props.to}
				aria-valuetext={spoken(props)}
				onKeyDown={(e) => on_key(e, props, plot.current)}
			/>
		</figure>
	);
}
