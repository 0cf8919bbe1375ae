// SPDX-License-Identifier: Apache-2.0
// live - the cluster as it is now, for all views: by the leader's events, or by asking each 5 s while the stream is broken.
import { get } from "./api.js";
import { makeStore } from "./store.js";

const POLL_MS = 5000;
const RETRY_MS = 5000;
const KEPT = 360; // points of a plot: an hour of 10 s
const KEPT_OF_MEMBER = 60;

const NOTHING = {
	mode: "connecting", // live, polling
	about: {}, // what GET /api/cluster/members says beside the members
	members: new Map(),
	heardAt: new Map(), // when each row came, by our clock
	now: {},
	figures: { everySeconds: 10, sums: { t: [] }, members: {} },
	ring: { epoch: 0, members: [] },
	quotas: [], // nearest to their end
};

export const live = makeStore(NOTHING);

// {revision, kinds} of the last change of entities.
export const changes = makeStore({ revision: 0, kinds: [] });

let source = null;
let timer = 0;
let watching = false;

function membersOf(rows) {
	const at = Date.now();
	return { members: new Map(rows.map((row) => [row.name, row])), heardAt: new Map(rows.map((row) => [row.name, at])) };
}

// The series of all members are asked for once; an empty name is nobody's, so then the sums come alone.
async function load() {
	const before = live.get().figures.members;
	const isFirst = before === NOTHING.figures.members;
	const [cluster, figures, ring] = await Promise.all([
		get("/api/cluster/members"),
		get(isFirst ? "/api/cluster/figures" : "/api/cluster/figures?member="),
		get("/api/cluster/ring"),
	]);
	const { members, ...about } = cluster;
	if (!isFirst)
		figures.members = grownOf({ ...figures, members: before }, members, [], Date.now() / 1000);
	live.patch({ about, ...membersOf(members), figures, ring, quotas: figures.quotas || [], now: lastOf(figures.sums) });
	tellChange(about.revision, []);
}

// What no event tells: the other leaders, who is estranged.
export const refresh = () => load().catch(() => {});

// Without the kinds everything may have changed.
function tellChange(revision, kinds) {
	if (revision !== changes.get().revision)
		changes.set({ revision, kinds });
}

function lastOf(sums) {
	const last = {};
	for (const [name, values] of Object.entries(sums))
		if (Array.isArray(values) && values.length)
			last[name] = values[values.length - 1];
	return last;
}

// What is now becomes a point when the last one is a whole step old.
function grown(series, now, most, every) {
	const t = series.t || [];
	const isNext = !t.length || now.t - t[t.length - 1] >= every;
	const next = {};
	for (const name of new Set([...Object.keys(series), ...Object.keys(now)])) {
		const values = (series[name] || t.map(() => null)).slice(isNext ? -most + 1 : 0);
		next[name] = isNext ? [...values, now[name] ?? null] : values;
	}
	return next;
}

function onCluster(now) {
	const { figures } = live.get();
	now.t ??= Date.now() / 1000;
	live.patch({ now, figures: { ...figures, sums: grown(figures.sums, now, KEPT, figures.everySeconds) } });
}

function figuresOf(row, t) {
	const stats = row.stats || {};
	return { t, rate: (stats.rateMilli || 0) / 1000, p99: stats.p99Us, open: stats.openRequests };
}

function onMembers({ changed = [], gone = [] }) {
	const { members, heardAt, figures } = live.get();
	const at = Date.now();
	for (const row of changed) {
		members.set(row.name, row);
		heardAt.set(row.name, at);
	}
	for (const name of gone) {
		members.delete(name);
		heardAt.delete(name);
	}
	live.patch({ members: new Map(members), heardAt, figures: { ...figures, members: grownOf(figures, changed, gone, at / 1000) } });
}

function grownOf({ members, everySeconds }, changed, gone, t) {
	const next = { ...members };
	for (const row of changed)
		next[row.name] = grown(next[row.name] || {}, figuresOf(row, t), KEPT_OF_MEMBER, everySeconds);
	for (const name of gone)
		delete next[name];
	return next;
}

function onRing(ring) {
	live.patch({ ring });
}

function onQuotas({ quotas }) {
	live.patch({ quotas });
}

function onChanged({ revision, kinds }) {
	live.patch({ about: { ...live.get().about, revision } });
	tellChange(revision, kinds);
}

const READERS = { cluster: onCluster, members: onMembers, ring: onRing, changed: onChanged, quotas: onQuotas };

function hang(source) {
	for (const [name, reader] of Object.entries(READERS))
		source.addEventListener(name, (event) => reader(JSON.parse(event.data)));
}

async function poll() {
	clearTimeout(timer);
	if (!watching || live.get().mode === "live")
		return;
	try {
		await load();
	} catch {
		// The next try says more; a login that is over is told by api.js.
	}
	if (watching && live.get().mode !== "live")
		timer = setTimeout(poll, POLL_MS);
}

function onBroken(broken) {
	if (broken !== source)
		return;
	source.close();
	source = null;
	live.patch({ mode: "polling" });
	poll();
	setTimeout(open, RETRY_MS);
}

function open() {
	if (!watching || source)
		return;
	const opened = new EventSource("/api/cluster/live?every=2000");
	source = opened;
	opened.onopen = () => {
		clearTimeout(timer);
		live.patch({ mode: "live" });
		refresh();
	};
	opened.onerror = () => onBroken(opened);
	hang(opened);
}

function close() {
	watching = false;
	clearTimeout(timer);
	source?.close();
	source = null;
}

// A window that nobody sees holds no stream.
function follow() {
	if (document.hidden) {
		close();
	} else if (!watching) {
		watching = true;
		open();
	}
}

export function watch() {
	document.addEventListener("visibilitychange", follow);
	follow();
}

export function unwatch() {
	document.removeEventListener("visibilitychange", follow);
	close();
	live.set({ ...NOTHING, members: new Map(), heardAt: new Map() });
	changes.set({ revision: 0, kinds: [] });
}
