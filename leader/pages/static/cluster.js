// SPDX-License-Identifier: Apache-2.0
// cluster - each member, its share of the ring, what it says is wrong with it, and what an operator can do with it.
import { call, get } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { live, refresh } from "./live.js";
import { Plot } from "./plots.js";
import { isAdmin } from "./roles.js";
import { go, to } from "./route.js";
import { useStore } from "./store.js";
import { Bar, Confirm, Pager, Problem, Scroll, Spark, State, say, useAction, useLoaded } from "./ui.js";
import { bytes, micros, number, percent, rate, span, time } from "./words.js";

const PAGE = 100;
const REFRESH_MS = 30000;
const STATES = ["active", "joining", "drained", "draining", "lost", "wrong"];

// ---- one row of what is known ----

const isWrong = (member) => member.state === "lost" || member.complaints?.length > 0;

function rowsOf({ members, heardAt, ring, about, figures }) {
	const shares = new Map((ring.members || []).map((each) => [each.name, each.share]));
	return [...members.values()].map((member) => ({
		...member,
		stats: member.stats || {},
		share: shares.get(member.name),
		behind: Math.max(0, (about.revision || 0) - (member.revision || 0)),
		heardAt: heardAt.get(member.name),
		figures: figures.members?.[member.name] || { t: [] },
	}));
}

const leaseLeft = (row, now) => (row.state === "lost" ? null : Math.max(0, row.leaseLeftMs - (now - row.heardAt)));

// One that an operator drained is active, but owns nothing.
const shownState = (row) => (row.drained && row.state === "active" ? "drained" : row.state);

// ---- order and choice ----

const ORDERS = {
	name: (row) => row.name,
	state: shownState,
	zone: (row) => row.zone || "",
	share: (row) => -(row.share || 0),
	rate: (row) => -(row.stats.rateMilli || 0),
	p99: (row) => -(row.stats.p99Us || 0),
};

const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);

function chosen(rows, { q = "", state = "", sort = "name" }) {
	const text = q.toLowerCase();
	const order = ORDERS[sort] || ORDERS.name;
	return rows
		.filter((row) => (!state || (state === "wrong" ? isWrong(row) : shownState(row) === state)) && (!text || `${row.name} ${row.zone} ${row.version}`.toLowerCase().includes(text)))
		.sort((a, b) => compare(order(a), order(b)) || compare(a.name, b.name));
}

function Choice({ search }) {
	const [text, setText] = useState(search.q || "");
	const choose = (part) => go("cluster", [], { ...search, ...part });
	return html`<form class="line" role="search" onSubmit=${(e) => { e.preventDefault(); choose({ q: text.trim() }); }}>
		<div class="field"><label for="member-q">Name, zone or version</label><input id="member-q" type="search" value=${text} onInput=${(e) => setText(e.target.value)} /></div>
		<div class="field"><label for="member-state">State</label><select id="member-state" value=${search.state || ""} onChange=${(e) => choose({ state: e.target.value })}>
			<option value="">any</option>${STATES.map((state) => html`<option value=${state}>${state === "wrong" ? "something is wrong" : state}</option>`)}</select></div>
		<button type="submit">Show</button></form>`;
}

// ---- the table ----

const HEADS = [["name", "Member"], ["state", "State"], ["zone", "Zone", "p3"], [null, "Version", "p3"], ["share", "Share of the ring", "p3"], [null, "Entities", "p3"], [null, "Lease left", "p3 number"],
	["rate", "Requests", "number"], ["p99", "p99", "number"], [null, "Open", "p3 number"], [null, "Memory", "p3 number"]];

function Head({ search }) {
	return html`<thead><tr>${HEADS.map(([sort, words, less = ""]) => html`<th scope="col" class=${less} aria-sort=${sort && (search.sort || "name") === sort ? "other" : undefined}>
		${sort ? html`<a href=${to("cluster", [], { ...search, sort })}>${words}</a>` : words}</th>`)}</tr></thead>`;
}

const Freshness = ({ row }) => (row.behind ? html`<span title="revision ${row.revision}">${number(row.behind)} behind</span>` : html`<span title="revision ${row.revision}">newest</span>`);

const Share = ({ share, most }) => (share ? html`<${Bar} share=${share / most} label=${percent(share)} /> ${percent(share)}` : "–");

const RowFigures = ({ row: { stats, figures } }) => html`<td class="number"><${Spark} values=${figures.rate} /> ${rate((stats.rateMilli || 0) / 1000)}</td>
	<td class="number">${micros(stats.p99Us)}</td><td class="number p3">${number(stats.openRequests)}</td><td class="number p3">${bytes(stats.rss)}</td>`;

const Row = ({ row, most, now }) => html`<tr class=${isWrong(row) ? "wrong" : ""}>
	<th scope="row" class="id"><a href=${to("cluster", [row.name])} title=${row.name}>${row.name}</a>${row.complaints?.length > 0 && html` <span class="state lost" title=${row.complaints.join("\n")}>${row.complaints.length} wrong</span>`}</th>
	<td><${State} state=${shownState(row)} /></td><td class="p3">${row.zone}</td><td class="p3">${row.version}</td>
	<td class="p3"><${Share} share=${row.share} most=${most} /></td><td class="p3"><${Freshness} row=${row} /></td><td class="p3 number">${span(leaseLeft(row, now))}</td>
	${row.state === "lost" ? html`<td class="number">–</td><td class="number">–</td><td class="number p3">–</td><td class="number p3">–</td>` : html`<${RowFigures} row=${row} />`}</tr>`;

function Table({ rows, search, now }) {
	const [page, setPage] = useState(0);
	const most = Math.max(1e-9, ...rows.map((row) => row.share || 0));
	const at = Math.min(page, Math.max(0, Math.ceil(rows.length / PAGE) - 1));
	const shown = rows.slice(at * PAGE, (at + 1) * PAGE);
	return html`<${Scroll} label="Members"><table><${Head} search=${search} />
			<tbody>${shown.map((row) => html`<${Row} key=${row.name} row=${row} most=${most} now=${now} />`)}</tbody></table></${Scroll}>
		<${Pager} from=${at * PAGE} count=${shown.length} total=${rows.length} onBack=${at > 0 && (() => setPage(at - 1))} onNext=${(at + 1) * PAGE < rows.length && (() => setPage(at + 1))} />`;
}

// ---- the ring ----

const STRIP_MOST = 60;

// Whose part of the slots is how large, side by side.
function Strip({ members }) {
	const owners = members.filter((each) => each.share > 0);
	if (!owners.length || owners.length > STRIP_MOST)
		return null;
	let x = 0;
	const parts = owners.map((each) => {
		const from = x;
		x += each.share * 1000;
		return { ...each, from, width: each.share * 1000 };
	});
	return html`<svg class="strip" viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label=${`Shares of the ring: ${owners.map((each) => `${each.name} ${percent(each.share)}`).join(", ")}`}>
		${parts.map((part, i) => html`<rect class=${i % 2 ? "odd" : "even"} x=${part.from} y="0" width=${part.width} height="12"><title>${part.name} ${percent(part.share)}</title></rect>`)}</svg>`;
}

const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

const About = ({ about, ring }) => html`<dl class="facts">
	<${Fact} name="Leader">${about.leader}</${Fact}>
	${about.leaders?.length > 0 && html`<${Fact} name="Other leaders">${about.leaders.map(({ name, seenMs }) => `${name} (${span(seenMs)} ago)`).join(", ")}</${Fact}>`}
	<${Fact} name="Cluster"><span class="mono">${about.cluster}</span></${Fact}>
	<${Fact} name="Generation">${about.generation}</${Fact}>
	<${Fact} name="Revision">${number(about.revision)}</${Fact}>
	<${Fact} name="Ring">epoch ${number(ring.epoch)}</${Fact}>
	<${Fact} name="Lease">${span(about.leaseMs)}</${Fact}>
</dl>`;

function useClock() {
	const [now, setNow] = useState(Date.now());
	useEffect(() => {
		const timer = setInterval(() => setNow(Date.now()), 1000);
		return () => clearInterval(timer);
	}, []);
	return now;
}

function All({ at }) {
	const world = useStore(live);
	const now = useClock();
	const rows = chosen(rowsOf(world), at.search);
	useEffect(() => {
		const timer = setInterval(refresh, REFRESH_MS);
		return () => clearInterval(timer);
	}, []);
	return html`<h1>Cluster</h1>
		<${About} about=${world.about} ring=${world.ring} />
		<${Strip} members=${world.ring.members || []} />
		<${Choice} search=${at.search} />
		<${Table} rows=${rows} search=${at.search} now=${now} />
		${world.about.estranged?.length > 0 && html`<p class="problem">Refused, of another history: ${world.about.estranged.map((each) => each.name).join(", ")}.</p>`}`;
}

// ---- one member ----

const DEEDS = {
	drain: { verb: "Drain", words: "It owns no repositories while it lives, until you take the drain back. It serves on." },
	evacuate: { verb: "Evacuate", words: "It is drained. Once it owns nothing and has no uploads under way this says so: then it can be ended, and forgotten." },
	undrain: { verb: "Undrain", words: "It owns repositories again.", danger: false },
};

const AGAIN_MS = 2000;
const pathOf = (name, deed = "") => `/api/cluster/members/${encodeURIComponent(name)}${deed && `/${deed}`}`;
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Until the leader says that it is done (202: not yet), or nobody looks any more.
async function doDeed(name, deed, force, isOpen) {
	let answer;
	do {
		answer = await call("POST", pathOf(name, deed) + (force ? "?force=true" : ""), { body: {} });
		if (answer.status === 202)
			await rest(AGAIN_MS);
	} while (answer.status === 202 && isOpen());
	return answer.status !== 202;
}

// Where each member has a storage of its own the leader asks for more than a click.
function DeedDialog({ name, deed, onClose }) {
	const { verb, words, danger } = DEEDS[deed];
	const [refused, setRefused] = useState(false);
	const [force, setForce] = useState(false);
	const isOpen = useRef(true);
	useEffect(() => () => {
		isOpen.current = false;
	}, []);
	const act = async () => {
		try {
			if (await doDeed(name, deed, force, () => isOpen.current))
				say(`${verb}: ${name}: done.`);
		} catch (error) {
			setRefused(error.status === 409);
			throw error;
		}
	};
	return html`<${Confirm} title="${verb} ${name}?" verb=${verb} danger=${danger ?? true} act=${act} onClose=${onClose}><p>${words}</p>
		${refused && html`<label class="check"><input type="checkbox" checked=${force} onChange=${(e) => setForce(e.target.checked)} /> all the same</label>`}</${Confirm}>`;
}

function ForgetDialog({ name, onClose }) {
	const act = async () => {
		await call("DELETE", pathOf(name));
		say(`${name} was forgotten.`);
		go("cluster");
	};
	return html`<${Confirm} title="Forget ${name}?" verb="Forget" act=${act} onClose=${onClose}><p>It is no member any more. If it comes back, it joins as a new one.</p></${Confirm}>`;
}

function MemberDeeds({ row }) {
	const [asking, setAsking] = useState("");
	const close = () => setAsking("");
	const isLost = row.state === "lost";
	return html`<div class="buttons">
			${!isLost && !row.drained && html`<button onClick=${() => setAsking("drain")}>Drain</button><button onClick=${() => setAsking("evacuate")}>Evacuate</button>`}
			${row.drained && html`<button onClick=${() => setAsking("undrain")}>Undrain</button>`}
			${isLost && html`<button class="danger" onClick=${() => setAsking("forget")}>Forget</button>`}
		</div>
		${DEEDS[asking] && html`<${DeedDialog} name=${row.name} deed=${asking} onClose=${close} />`}
		${asking === "forget" && html`<${ForgetDialog} name=${row.name} onClose=${close} />`}`;
}

const PLOTS = [
	{ title: "Requests", format: rate, lines: [{ key: "rate", label: "all", colour: "--accent" }] },
	{ title: "p99", format: micros, lines: [{ key: "p99", label: "p99", colour: "--second" }] },
];

const MemberFacts = ({ row, now }) => html`<dl class="facts">
	<${Fact} name="State"><${State} state=${shownState(row)} /> ${row.drained ? `by ${row.drained.by} since ${time(row.drained.since)}` : ""} ${row.lostSince ? `since ${time(row.lostSince)}` : ""}</${Fact}>
	<${Fact} name="Address">${row.url}</${Fact}><${Fact} name="Zone">${row.zone || "–"}</${Fact}><${Fact} name="Version">${row.version}</${Fact}>
	<${Fact} name="Lease left">${span(leaseLeft(row, now))}</${Fact}><${Fact} name="Last heard">${time(row.lastPush, "–")}</${Fact}>
	<${Fact} name="Share of the ring">${percent(row.share || 0)}</${Fact}>
	<${Fact} name="Revision">${number(row.revision)}, <${Freshness} row=${row} /></${Fact}><${Fact} name="Age of its state">${span(row.stateAgeMs)}</${Fact}>
	<${Fact} name="Requests">${number(row.stats.requests)}</${Fact}><${Fact} name="Open">${number(row.stats.openRequests)}</${Fact}>
	<${Fact} name="In">${bytes(row.stats.bytesIn)}</${Fact}><${Fact} name="Out">${bytes(row.stats.bytesOut)}</${Fact}>
	<${Fact} name="p50">${micros(row.stats.p50Us)}</${Fact}><${Fact} name="p99">${micros(row.stats.p99Us)}</${Fact}>
	<${Fact} name="Memory">${bytes(row.stats.rss)}</${Fact}><${Fact} name="Processor time">${span(row.stats.cpuMs)}</${Fact}><${Fact} name="Up for">${span(row.stats.uptimeMs)}</${Fact}>
	<${Fact} name="Uploads">${number(row.stats.uploads)}</${Fact}><${Fact} name="Spool">${bytes(row.stats.spoolBytes)}</${Fact}><${Fact} name="Storage that it owns">${bytes(row.stats.storageBytes)}</${Fact}>
	<${Fact} name="Repositories">${number(row.stats.storageRepositories)}</${Fact}><${Fact} name="Tags">${number(row.stats.storageTags)}</${Fact}><${Fact} name="Manifests">${number(row.stats.storageManifests)}</${Fact}><${Fact} name="Blobs">${number(row.stats.storageBlobs)}</${Fact}>
	<${Fact} name="Chores failed">${number(row.stats.chores?.failures)}</${Fact}>
</dl>`;

const Complaints = ({ lines = [] }) => lines.length > 0 && html`<section aria-labelledby="complaints"><h2 id="complaints">What it says is wrong with it</h2>
	<ul>${lines.map((line) => html`<li>${line}</li>`)}</ul></section>`;

// ---- what it does without being asked ----

const CHORES_EVERY_MS = 2000; // as often as members tell

function progressOf({ what, done = 0, total, about, at, removed, dryRun }) {
	const of = total ? ` of ${number(total)}` : about ? ` of about ${number(about)}` : "";
	const gone = removed ? `, ${dryRun ? "would remove" : "removed"} ${number(removed)}` : "";
	return `${number(done)}${of} ${what || ""}${gone}${at ? `, at ${at}` : ""}`;
}

function lastOf({ how, error, ended, dryRun, ...work }) {
	const words = how === "done" && work.what ? progressOf({ ...work, dryRun }) : error || "";
	return `${dryRun ? "dry run " : ""}${how} ${time(ended)}${words && `: ${words}`}`;
}

function ChoreButtons({ member, chore }) {
	const [run, busy, error] = useAction();
	const ask = (action, dryRun) =>
		run(async () => {
			await call("POST", pathOf(member, "chores"), { body: { chore: chore.name, action, ...(dryRun && { dryRun }) } });
			say(`${chore.name} at ${member}: ${action === "stop" ? "it is told to end" : dryRun ? "a dry run is asked for" : "a run is asked for"}.`);
		});
	const isIdle = chore.state === "idle";
	return html`<div class="buttons">
			<button disabled=${busy || !isIdle} onClick=${() => ask("start")} aria-label="Start ${chore.name}">Start</button>
			${chore.canDryRun && html`<button disabled=${busy || !isIdle} onClick=${() => ask("start", true)} aria-label="Dry run of ${chore.name}">Dry run</button>`}
			<button disabled=${busy || isIdle} onClick=${() => ask("stop")} aria-label="Stop ${chore.name}">Stop</button>
		</div><${Problem} error=${error} />`;
}

const Chore = ({ member, chore, mayAsk }) => html`<tr>
	<th scope="row">${chore.name}</th><td>${chore.state}${chore.run?.dryRun ? ", dry run" : ""}</td>
	<td>${chore.run ? progressOf(chore.run) : ""}</td><td>${chore.last ? lastOf(chore.last) : ""}</td>
	${mayAsk && html`<td><${ChoreButtons} member=${member} chore=${chore} /></td>`}
</tr>`;

// Events do not tell of chores: the member alone is asked for, while somebody looks.
function Chores({ name, mayAsk }) {
	const [turn, setTurn] = useState(0);
	const { value, error } = useLoaded(() => get(pathOf(name)), [name, turn]);
	const chores = value?.members?.[0]?.chores || [];
	useEffect(() => {
		const timer = setInterval(() => document.hidden || setTurn((t) => t + 1), CHORES_EVERY_MS);
		return () => clearInterval(timer);
	}, []);
	return html`<section aria-labelledby="chores"><h2 id="chores">Chores</h2><${Problem} error=${error} />
		${value && !chores.length && html`<p class="none">It has not told of any.</p>`}
		${chores.length > 0 && html`<${Scroll} label="Chores"><table>
			<thead><tr><th scope="col">Chore</th><th scope="col">State</th><th scope="col">Progress</th><th scope="col">Last run</th>${mayAsk && html`<th scope="col">Ask</th>`}</tr></thead>
			<tbody>${chores.map((chore) => html`<${Chore} key=${chore.name} member=${name} chore=${chore} mayAsk=${mayAsk} />`)}</tbody></table></${Scroll}>`}
	</section>`;
}

function One({ name, session }) {
	const world = useStore(live);
	const now = useClock();
	const row = world.members.has(name) && rowsOf({ ...world, members: new Map([[name, world.members.get(name)]]) })[0];
	return html`<p class="crumb"><a href=${to("cluster")}>Cluster</a></p><h1 class="id">${name}</h1>
		${!row && world.mode !== "connecting" && html`<p class="none">No member has this name.</p>`}
		${row && html`${isAdmin(session) && html`<${MemberDeeds} row=${row} />`}
			<${MemberFacts} row=${row} now=${now} /><${Complaints} lines=${row.complaints} />
			<${Chores} name=${name} mayAsk=${isAdmin(session) && row.state !== "lost"} />
			<div class="plots">${PLOTS.map((plot) => html`<${Plot} key=${plot.title} ...${plot} seconds=${600} series=${row.figures} />`)}</div>`}`;
}

export function Cluster({ session, at }) {
	return at.parts.length ? html`<${One} key=${at.parts[0]} name=${at.parts[0]} session=${session} />` : html`<${All} at=${at} />`;
}
