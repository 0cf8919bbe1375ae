// SPDX-License-Identifier: Apache-2.0
// plots - lines over time. What they show is in words beside them, for who does not see them.
import uPlot from "./vendor/uplot.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { theme } from "./themes.js";
import { useStore } from "./store.js";

const HEIGHT = 130;
const clock = (t) => new Date(t * 1000).toTimeString().slice(0, 5);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const lineOf = ({ colour: name }) => ({ stroke: colour(name), width: 1.5, points: { show: false }, spanGaps: false });

// Steps of an axis: bytes by powers of two, all else by tens.
const BYTES = Array.from({ length: 50 }, (_, i) => 2 ** i);

function axes(format, incrs) {
	const look = { stroke: colour("--quiet"), font: "11px system-ui, sans-serif", ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 } };
	return [
		{ ...look, grid: { show: false }, size: 26, space: 60, values: (_, at) => at.map(clock) },
		{ ...look, size: 66, space: 30, incrs, values: (_, at) => at.map(format) },
	];
}

function optionsOf({ lines, format, isBytes, seconds = 3600 }, width, onCursor) {
	return {
		width,
		height: HEIGHT,
		legend: { show: false },
		cursor: { y: false, drag: { x: false, y: false }, sync: { key: "hour" } },
		scales: { x: { range: (_, min, max) => lastOf(max ?? Date.now() / 1000, seconds) }, y: { range: (_, min, max) => [0, Math.max(max * 1.1, 1e-3)] } },
		axes: axes(format, isBytes ? BYTES : undefined),
		series: [{}, ...lines.map(lineOf)],
		hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx)] },
	};
}

const lastOf = (end, seconds) => [end - seconds, end];

const dataOf = (series, lines) => {
	const t = series.t || [];
	return [t, ...lines.map((line) => series[line.key] || t.map(() => null))];
};

const summary = (title, series, lines, format) =>
	`${title}: ` + lines.map((line) => {
		const known = (series[line.key] || []).filter((value) => value !== null);
		return known.length ? `${line.label} now ${format(known.at(-1))}, most ${format(Math.max(...known))}` : `${line.label} not known`;
	}).join("; ");

// `series` is {t: [seconds], name: [numbers or null]}, `lines` are [{key, label, colour: "--accent"}].
export function Plot(props) {
	const { title, series, lines, format } = props;
	const place = useRef();
	const plot = useRef();
	const [at, setAt] = useState(null);
	const shade = useStore(theme);
	useEffect(() => {
		const element = place.current;
		plot.current = new uPlot(optionsOf(props, element.clientWidth, setAt), dataOf(series, lines), element);
		const observer = new ResizeObserver(() => plot.current.setSize({ width: element.clientWidth, height: HEIGHT }));
		observer.observe(element);
		return () => {
			observer.disconnect();
			plot.current.destroy();
		};
	}, [shade]);
	useEffect(() => plot.current.setData(dataOf(series, lines)), [series]);
	const shown = at ?? (series.t || []).length - 1;
	return html`<figure class="plot">
		<figcaption><strong>${title}</strong>
			${lines.map((line) => html`<span class="key"><i class=${line.colour.slice(2)}></i>${line.label} <b>${format(series[line.key]?.[shown])}</b></span>`)}
			<time>${series.t?.length ? clock(series.t[shown] ?? 0) : ""}</time>
		</figcaption>
		<div ref=${place} role="img" aria-label=${summary(title, series, lines, format)}></div>
	</figure>`;
}
