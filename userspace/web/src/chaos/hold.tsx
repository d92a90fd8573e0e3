// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A button that must be meant: held for HOLD_MS by finger or mouse; by keyboard
 * (and by assistive technology, which clicks) pressed twice within AGAIN_MS.
 */
import {useSignal} from '@preact/signals';
import {useEffect, useRef} from 'preact/hooks';

export const HOLD_MS = 600;
const AGAIN_MS = 3000;

interface Props {
	label: string;
	disabled: boolean;
	action: () => void;
	describedby?: string;
}

export function HoldButton({label, disabled, action, describedby}: Props) {
	const state = useSignal<'rest' | 'holding' | 'again' | 'short'>('rest');
	const timer = useRef(0);
	const rest = () => {
		clearTimeout(timer.current);
		state.value = 'rest';
	};
	const later = (ms: number, then: () => void) => {
		clearTimeout(timer.current);
		timer.current = setTimeout(then, ms);
	};
	useEffect(() => rest, []);
	useEffect(() => {
		if (disabled)
			rest();
	}, [disabled]);

	const press = () => {
		if (disabled)
			return;
		state.value = 'holding';
		later(HOLD_MS, () => {
			rest();
			navigator.vibrate?.(30);
			action();
		});
	};
	const release = () => {
		if (state.value !== 'holding')
			return;
		state.value = 'short';
		later(AGAIN_MS, rest);
	};
	const twice = () => {
		if (disabled)
			return;
		if (state.value === 'again') {
			rest();
			action();
			return;
		}
		state.value = 'again';
		later(AGAIN_MS, rest);
	};
	const words = {
		rest: label,
		holding: 'Keep holding…',
		again: 'Press again to arm',
		short: 'Hold a little longer',
	};
	return (
		<button
			type="button"
			class={`hold ${state.value}`}
			aria-disabled={disabled}
			aria-describedby={describedby}
			onPointerDown={(e) => {
				if (e.button === 0)
					press();
			}}
			onPointerUp={release}
			onPointerLeave={release}
			onPointerCancel={release}
			onContextMenu={(e) => e.preventDefault()}
			onKeyDown={(e) => {
				if (e.key !== 'Enter' && e.key !== ' ')
					return;
				e.preventDefault();
				if (!e.repeat)
					twice();
			}}
			onClick={(e) => {
				/* No pointer and no key made this one. */
				if (e.detail === 0)
					twice();
			}}
		>
			<span class="fill" aria-hidden="true" />
			<span class="words" aria-live="polite">{words[state.value]}</span>
		</button>
	);
}
