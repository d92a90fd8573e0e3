// SPDX-License-Identifier: GPL-2.0-or-later
/* A line without axes: the last minute of one number. What is unknown is a gap. */

interface Props {
	values: readonly (number | null)[];
	label: string;
	width?: number;
	height?: number;
	/** Points that the whole width holds: a short history fills it from the right. */
	points?: number;
}

/** spark_path() - SVG path data: from 0 to the highest, the newest at the right. */
export function spark_path(values: readonly (number | null)[], width: number, height: number, points: number): string {
	const top = Math.max(1e-9, ...values.map((v) => v ?? 0));
	const step = width / Math.max(1, points - 1);
	const first = points - values.length;
	let d = '';
	let pen = false;
	values.forEach((v, i) => {
		if (v === null) {
			pen = false;
			return;
		}
		const x = ((first + i) * step).toFixed(1);
		const y = (height - 1 - (v / top) * (height - 2)).toFixed(1);
		d += `${pen ? 'L' : 'M'}${x},${y}`;
		/* A lone point would be invisible. */
		if (!pen && (values[i + 1] ?? null) === null)
			d += 'h1';
		pen = true;
	});
	return d;
}

export function Spark({values, label, width = 96, height = 24, points = 60}: Props) {
	return (
		<svg class="spark" viewBox={`0 0 ${width} ${height}`} width={width} height={height} preserveAspectRatio="none" role="img" aria-label={label}>
			<path d={spark_path(values, width, height, points)} />
		</svg>
	);
}
