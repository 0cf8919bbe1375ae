// SPDX-License-Identifier: Apache-2.0
// words - numbers, times and sizes as people read them.
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

const round = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(value ? 2 : 0));

export function number(value) {
	if (value === undefined || value === null || Number.isNaN(value))
		return "–";
	return Number.isInteger(value) ? value.toLocaleString("en") : round(value);
}

export function bytes(value) {
	if (value === undefined || value === null || Number.isNaN(value))
		return "–";
	let unit = 0;
	while (value >= 1024 && unit < UNITS.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${unit ? round(value) : Math.round(value)} ${UNITS[unit]}`;
}

export function rate(value) {
	return value === undefined || value === null ? "–" : `${round(value)}/s`;
}

export function micros(value) {
	if (value === undefined || value === null)
		return "–";
	return value < 1000 ? `${Math.round(value)} µs` : value < 1e6 ? `${round(value / 1000)} ms` : `${round(value / 1e6)} s`;
}

const SPANS = [[86400, "d"], [3600, "h"], [60, "min"]];

export function span(ms) {
	if (ms === undefined || ms === null || ms < 0)
		return "–";
	if (ms < 1000)
		return `${Math.round(ms)} ms`;
	const seconds = ms / 1000;
	for (const [size, name] of SPANS)
		if (seconds >= 2 * size)
			return `${Math.floor(seconds / size)} ${name}`;
	return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}

export const percent = (share) => (share === undefined || share === null ? "–" : `${(100 * share).toFixed(share < 0.1 ? 2 : 1)} %`);

// A time as the API gives it: RFC 3339, or 0 for never.
export function time(value, never = "never") {
	return value ? String(value).replace("T", " ").replace(/(\.\d+)?Z$/, " UTC") : never;
}

export const today = () => new Date().toISOString().slice(0, 10);

// "passwordHash" -> "Password hash"
export function title(name) {
	const apart = name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
	return apart[0].toUpperCase() + apart.slice(1);
}
