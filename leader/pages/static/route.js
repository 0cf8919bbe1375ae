// SPDX-License-Identifier: Apache-2.0
// route - where we are: #/page/part?name=value. Nothing secret is ever in it.
import { makeStore } from "./store.js";

function read() {
	const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
	const [page, ...parts] = path.split("/").map(decode);
	return { page, parts, search: Object.fromEntries(new URLSearchParams(search)) };
}

function decode(part) {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}

export const route = makeStore(read());
window.addEventListener("hashchange", () => route.set(read()));

export function to(page, parts = [], search = {}) {
	const given = Object.entries(search).filter(([, value]) => value);
	return `#/${[page, ...parts].map(encodeURIComponent).join("/")}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

export function go(...where) {
	location.hash = to(...where);
}
