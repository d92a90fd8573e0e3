// SPDX-License-Identifier: GPL-2.0-or-later
/* The heat map: how many requests took how long, a cell for each point and bucket. */
import type uPlot from 'uplot';
import {colour} from '../shared/theme.ts';
import type {Grid} from './series.ts';

const SHADES = 8;

/** heat_range() - the buckets that hold anything, in ms, for a logarithmic axis. */
export function heat_range(heat: NonNullable<Grid['heat']>): [number, number] {
	let low = heat.bounds.length;
	let high = 0;
	for (const cell of heat.counts)
		cell?.forEach((n, k) => {
			if (n > 0) {
				low = Math.min(low, k);
				high = Math.max(high, k);
			}
		});
	if (low > high)
		return [1, 1000];
	const first = heat.bounds[Math.max(0, low - 1)] ?? 1;
	const last = heat.bounds[Math.min(heat.bounds.length - 1, high + 1)] ?? 1000;
	return [low === 0 ? first / 2 : first, Math.max(last, first * 4)];
}

/** heat_painter() - draws @grid's cells; darker is more, on a logarithmic ladder of SHADES. */
export function heat_painter(grid: Grid): (u: uPlot) => void {
	return (u) => {
		const heat = grid.heat;
		if (!heat)
			return;
		let most = 1;
		for (const cell of heat.counts)
			for (const n of cell ?? [])
				most = Math.max(most, n);
		const {ctx, bbox} = u;
		const ink = colour('heat');
		ctx.save();
		ctx.beginPath();
		ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
		ctx.clip();
		heat.counts.forEach((cell, i) => {
			if (!cell)
				return;
			const t = grid.times[i] ?? 0;
			const x = Math.floor(u.valToPos(t, 'x', true));
			const width = Math.max(1, Math.ceil(u.valToPos(t + grid.step, 'x', true)) - x);
			cell.forEach((n, k) => {
				if (n <= 0)
					return;
				const upper = heat.bounds[k] ?? (heat.bounds[k - 1] ?? 1) * 2;
				const lower = k ? (heat.bounds[k - 1] ?? upper / 2) : upper / 2;
				const top = u.valToPos(upper, 'y', true);
				const shade = Math.ceil((SHADES * Math.log1p(n)) / Math.log1p(most)) / SHADES;
				ctx.fillStyle = `rgb(${ink} / ${0.12 + 0.88 * shade})`;
				ctx.fillRect(x, top, width, Math.max(1, u.valToPos(lower, 'y', true) - top));
			});
		});
		ctx.restore();
	};
}
