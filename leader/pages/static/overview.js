// SPDX-License-Identifier: Apache-2.0
// overview - is all well, what does the cluster do, how did it do in the last hour?
import { html } from "./html.js";
import { live } from "./live.js";
import { to } from "./route.js";
import { Plot } from "./plots.js";
import { useStore } from "./store.js";
import { Quotas } from "./usage.js";
import { bytes, micros, number, percent, rate } from "./words.js";

const SHOWN_MOST = 10;

const perSecond = (value) => (value === undefined || value === null ? "–" : `${bytes(value)}/s`);

const FACTS = [
	["Requests", "rate", rate],
	["Errors", "errors", rate],
	["In", "bytesIn", perSecond],
	["Out", "bytesOut", perSecond],
	["p50", "p50", micros],
	["p99, worst", "p99", micros],
	["Open requests", "open", number],
	["Uploads", "uploads", number],
	["Spool", "spool", bytes],
	["Memory", "rss", bytes],
	["Processors", "cpu", number],
	["Storage", "storage", bytes],
	["Repositories", "repositories", number],
	["Tags", "tags", number],
	["Manifests", "manifests", number],
	["Blobs", "blobs", number],
	["Fullest quota", "quotaMost", percent],
];

const PLOTS = [
	{ title: "Requests", format: rate, lines: [{ key: "rate", label: "all", colour: "--accent" }, { key: "errors", label: "errors", colour: "--bad" }] },
	{ title: "Bytes", format: perSecond, isBytes: true, lines: [{ key: "bytesIn", label: "in", colour: "--accent" }, { key: "bytesOut", label: "out", colour: "--second" }] },
	{ title: "Latency", format: micros, lines: [{ key: "p50", label: "p50", colour: "--accent" }, { key: "p99", label: "p99, worst", colour: "--second" }] },
	{ title: "Storage", format: bytes, isBytes: true, lines: [{ key: "storage", label: "all", colour: "--accent" }] },
	{ title: "Fullest quota", format: percent, lines: [{ key: "quotaMost", label: "taken", colour: "--accent" }] },
	{ title: "Members", format: number, lines: [{ key: "active", label: "active", colour: "--accent" }, { key: "lost", label: "lost", colour: "--bad" }] },
];

function countOf(members) {
	const count = {};
	for (const member of members.values())
		count[member.state] = (count[member.state] || 0) + 1;
	return count;
}

const Fact = ({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

function Facts({ now, members }) {
	const { active = 0, ...others } = countOf(members);
	const rest = Object.entries(others).map(([state, n]) => `${n} ${state}`).join(", ");
	return html`<dl class="facts big">
		<${Fact} name="Members active" value=${html`${active}${rest && html` <small>${rest}</small>`}`} />
		${FACTS.filter(([, key]) => now[key] !== undefined).map(([name, key, format]) => html`<${Fact} name=${name} value=${format(now[key])} />`)}
	</dl>`;
}

function Wrong({ members }) {
	const wrong = [...members.values()].filter((member) => member.state === "lost" || member.complaints?.length);
	return html`<section aria-labelledby="wrong"><h2 id="wrong">What is wrong</h2>
		${wrong.length === 0 && html`<p class="none">Nothing that a member says.</p>`}
		<ul class="plain">${wrong.slice(0, SHOWN_MOST).map((member) => html`<li key=${member.name}><a href=${to("cluster", [member.name])}>${member.name}</a>${" "}
			${member.state === "lost" ? "is lost" : member.complaints.join("; ")}</li>`)}</ul>
		${wrong.length > SHOWN_MOST && html`<p><a href=${to("cluster", [], { state: "wrong" })}>and ${wrong.length - SHOWN_MOST} more</a></p>`}
	</section>`;
}

function NearestQuotas({ quotas }) {
	const labels = quotas.map(({ subject, label }) => ({ apikey: subject, label }));
	return html`<section aria-labelledby="quotas"><h2 id="quotas">Quotas, nearest to their end</h2>
		${quotas.length ? html`<${Quotas} quotas=${quotas} rows=${labels} />` : html`<p class="none">Nothing is taken of any.</p>`}</section>`;
}

export function Overview() {
	const { now, members, figures, quotas } = useStore(live);
	return html`<h1>Overview</h1>
		<${Facts} now=${now} members=${members} />
		<div class="plots">${PLOTS.map((plot) => html`<${Plot} key=${plot.title} ...${plot} series=${figures.sums} />`)}</div>
		<div class="halves"><${Wrong} members=${members} /><${NearestQuotas} quotas=${quotas.slice(0, SHOWN_MOST)} /></div>`;
}
