// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Services and calls in, places out. Pure.
 *
 * Up to NODES_MAX nodes are drawn. Over that the map folds to what is selected
 * or sick with its neighbours, and fills up with the busiest; the rest is told
 * as a number. dagre places (Gansner et al., "A technique for drawing directed
 * graphs", 1993); it is asked again only when the structure changes.
 */
import {graphlib, layout as dagre} from '@dagrejs/dagre';
import type {Edge, Service} from '../shared/types.ts';

export const NODES_MAX = 40;
const LABEL_H = 18;
/* Of nodes and of edges' labels, left to right and top down: narrow nodes have a line more. */
export const SIZES = {across: {node: 196, height: 72, label: 92}, down: {node: 136, height: 92, label: 48}} as const;

export interface Point {
	x: number;
	y: number;
}

export interface Placed {
	nodes: Map<string, Point>; /* middles */
	edges: {client: string; server: string; points: Point[]; label: Point}[];
	width: number;
	height: number;
}

export interface Folded {
	names: string[];
	edges: Edge[];
	hidden: number;
}

/** fold() - which nodes to draw. @important: selected and sick ones, in that order. */
export function fold(services: readonly Service[], edges: readonly Edge[], important: readonly string[]): Folded {
	const all = new Set(services.map((s) => s.name));
	for (const e of edges) {
		all.add(e.client);
		all.add(e.server);
	}
	if (all.size <= NODES_MAX)
		return {names: [...all], edges: [...edges], hidden: 0};
	const kept = new Set<string>();
	const add = (name: string) => {
		if (kept.size < NODES_MAX && all.has(name))
			kept.add(name);
	};
	important.forEach(add);
	const core = new Set(kept);
	for (const e of edges) {
		if (core.has(e.client))
			add(e.server);
		if (core.has(e.server))
			add(e.client);
	}
	if (!core.size)
		[...services].sort((a, b) => (b.rate_per_s ?? 0) - (a.rate_per_s ?? 0) || (a.name < b.name ? -1 : 1)).forEach((s) => add(s.name));
	return {
		names: [...kept],
		edges: edges.filter((e) => kept.has(e.client) && kept.has(e.server)),
		hidden: all.size - kept.size,
	};
}

/** structure() - changes when, and only when, places have to be found anew. */
export function structure(f: Folded, down: boolean): string {
	return JSON.stringify([down, [...f.names].sort(), f.edges.map((e) => [e.client, e.server]).sort()]);
}

/** place() - left to right, or top @down where the page is narrow. */
export function place(f: Folded, down: boolean): Placed {
	const g = new graphlib.Graph({directed: true});
	g.setGraph({rankdir: down ? 'TB' : 'LR', nodesep: down ? 10 : 20, ranksep: down ? 30 : 36, marginx: down ? 4 : 12, marginy: 8});
	g.setDefaultEdgeLabel(() => ({}));
	const size_of = down ? SIZES.down : SIZES.across;
	[...f.names].sort().forEach((name) => g.setNode(name, {width: size_of.node, height: size_of.height}));
	for (const e of f.edges)
		g.setEdge(e.client, e.server, {width: size_of.label, height: LABEL_H, labelpos: 'c'});
	dagre(g);
	const size = g.graph() as {width?: number; height?: number};
	const at = (v: unknown): Point => {
		const p = v as Partial<Point>;
		return {x: p.x ?? 0, y: p.y ?? 0};
	};
	return {
		nodes: new Map(f.names.map((n) => [n, at(g.node(n))])),
		edges: f.edges.map((e) => {
			const placed = g.edge(e.client, e.server) as unknown as {points?: Point[]};
			return {client: e.client, server: e.server, points: (placed.points ?? []).map(at), label: at(placed)};
		}),
		width: size.width ?? 0,
		height: size.height ?? 0,
	};
}

/** curve() - a smooth line through @points: quadratic through the middles, straight at both ends. */
export function curve(points: readonly Point[]): string {
	const first = points[0];
	if (!first)
		return '';
	let d = `M${first.x},${first.y}`;
	for (let i = 1; i < points.length - 1; i++) {
		const p = points[i] as Point;
		const next = points[i + 1] as Point;
		const end = i === points.length - 2 ? next : {x: (p.x + next.x) / 2, y: (p.y + next.y) / 2};
		d += `Q${p.x},${p.y} ${end.x},${end.y}`;
	}
	const last = points[points.length - 1] as Point;
	return points.length === 2 ? `${d}L${last.x},${last.y}` : d;
}

/** nearest() - the node that lies next in a direction, for the arrow keys; undefined: none. */
export function nearest(places: ReadonlyMap<string, Point>, from: string, dx: number, dy: number): string | undefined {
	const a = places.get(from);
	let best: string | undefined;
	let least = Infinity;
	for (const [name, p] of places) {
		if (!a || name === from)
			continue;
		const along = (p.x - a.x) * dx + (p.y - a.y) * dy;
		const aside = Math.abs((p.x - a.x) * dy) + Math.abs((p.y - a.y) * dx);
		if (along > 0 && along + 2 * aside < least) {
			least = along + 2 * aside;
			best = name;
		}
	}
	return best;
}
