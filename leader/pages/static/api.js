// SPDX-License-Identifier: Apache-2.0
// api - calls of the leader's API, and what it answers in its own words.
const PATIENCE_MS = 30000;

// Of this page's session; never stored, GET /api/session tells it again.
let csrf = "";
let whenSignedOut = () => {};

class ApiError extends Error {
	constructor(status, code, message) {
		super(message);
		this.status = status;
		this.code = code;
	}
}

export function onSignedOut(then) {
	whenSignedOut = then;
}

function headersOf(method, options) {
	const headers = { Accept: "application/json", "X-Requested-With": "zot-pages" };
	if (options.body !== undefined)
		headers["Content-Type"] = method === "PATCH" ? "application/merge-patch+json" : "application/json";
	if (method !== "GET" && csrf)
		headers["X-CSRF-Token"] = csrf;
	if (options.etag)
		headers["If-Match"] = options.etag;
	return headers;
}

async function fetched(method, path, options) {
	try {
		return await fetch(path, {
			method,
			headers: headersOf(method, options),
			body: options.body === undefined ? undefined : JSON.stringify(options.body),
			credentials: "same-origin",
			cache: "no-store",
			signal: AbortSignal.timeout(PATIENCE_MS),
		});
	} catch (error) {
		throw new ApiError(0, "unreachable", error.name === "TimeoutError" ? "the leader did not answer within 30 s" : "the leader cannot be reached");
	}
}

async function bodyOf(response) {
	const text = await response.text();
	if (!text)
		return null;
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

function nextOf(response) {
	const found = /<([^>]+)>;\s*rel="?next"?/.exec(response.headers.get("Link") || "");
	return found ? new URL(found[1], location.href) : null;
}

function refusalOf(response, body) {
	const error = (body && body.error) || {};
	return new ApiError(response.status, error.code || "", error.message || `the leader answered ${response.status}`);
}

// Answers {status, body, etag, next}; next is the path of the page behind this one, or null. Throws ApiError.
export async function call(method, path, options = {}) {
	const response = await fetched(method, path, options);
	const body = await bodyOf(response);
	if (!response.ok) {
		if (response.status === 401 && !options.signingIn)
			whenSignedOut();
		throw refusalOf(response, body);
	}
	const next = nextOf(response);
	return { status: response.status, body, etag: response.headers.get("ETag") || "", next: next && next.pathname + next.search };
}

export const get = async (path) => (await call("GET", path)).body;

// An id may have slashes, which stay.
export const entityPath = (kind, id) => `/api/${kind}/${id.split("/").map(encodeURIComponent).join("/")}`;

export function query(path, parameters) {
	const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined && value !== null);
	return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

function keep(session) {
	csrf = session.csrf || "";
	return { user: session.user, roles: session.roles || [] };
}

export const session = async () => keep((await call("GET", "/api/session", { signingIn: true })).body);

export const signIn = async (user, password) =>
	keep((await call("POST", "/api/session", { body: { user, password }, signingIn: true })).body);

export async function signOut() {
	await call("DELETE", "/api/session", { signingIn: true });
	csrf = "";
}
