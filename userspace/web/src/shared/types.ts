// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The objects of /v1 by short names, from the OpenAPI file; and the parts that
 * the file leaves open ("object"), as incident_json.c writes them. Those are
 * optional throughout: what is missing is shown as unknown.
 */
import type {Schemas} from './api.ts';

export type Service = Schemas['Service'];
export type Edge = Schemas['Edge'];
export type Fault = Schemas['Fault'];
export type FaultType = Schemas['FaultType'];
export type FaultParam = FaultType['params'][number];
export type Incident = Schemas['Incident'];
export type Cause = Schemas['Cause'];
export type Score = Schemas['Score'];
export type Health = Schemas['Health'];
export type Request = Schemas['Request'];
export type DoctorItem = Schemas['Doctor']['items'][number];

export interface List<T> {
	items: T[];
	next?: string;
}

export type ActionKind = Schemas['ActionKind'];

export interface Plan {
	by?: string;
	model?: string | null;
	action?: {
		id?: string;
		kind?: ActionKind;
		target?: string;
		risk?: number;
		reversible?: boolean;
		expected?: string;
		undo?: string;
	} | null;
	why?: string;
	fell_back_because?: string | null;
}

export interface Evidence {
	id?: string;
	service?: string;
	at?: string;
	source?: string;
	scorer?: string;
	score?: number;
	threshold?: number;
	feature?: string | null;
	value?: number;
	normal?: number;
	z?: number;
	text?: string;
}

export interface Action {
	kind?: ActionKind;
	target?: string;
	started_at?: string;
	result?: string;
	undo?: string;
}

export type Sample = Schemas['EventSample'];
export type Series = Schemas['Series'];
export type Load = Schemas['Load'];
export type LoadShapes = Schemas['LoadShapeList'];
export type AuditEntry = Schemas['AuditEntry'];

export const OPEN_STATES = ['open', 'planned', 'awaiting_approval', 'acting', 'verifying'];
export const is_open = (i: Incident) => OPEN_STATES.includes(i.state);
