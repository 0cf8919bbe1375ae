// SPDX-License-Identifier: Apache-2.0
// ui - the parts that all pages are made of.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";

// ---- what is said once, and read aloud ----

let sayNow = () => {};
export const say = (text) => sayNow(text);

export function Said() {
	const [text, setText] = useState("");
	useEffect(() => {
		sayNow = setText;
	}, []);
	useEffect(() => {
		const timer = text && setTimeout(() => setText(""), 6000);
		return () => clearTimeout(timer);
	}, [text]);
	return html`<div class="said" role="status">${text && html`<p>${text}</p>`}</div>`;
}

export const Problem = ({ error }) => error && html`<p class="problem" role="alert">${error.message}</p>`;

// ---- doing and loading ----

// [run, busy, error]: run(work) shows what work() throws.
export function useAction() {
	const [busy, setBusy] = useState(false);
	const [error, setError] = useState(null);
	async function run(work) {
		setBusy(true);
		setError(null);
		try {
			return await work();
		} catch (thrown) {
			setError(thrown);
			return undefined;
		} finally {
			setBusy(false);
		}
	}
	return [run, busy, error];
}

// {value, error, reload}: what load() answers, asked again when one of `when` is another; an older answer never replaces a newer.
export function useLoaded(load, when) {
	const [state, setState] = useState({ value: null, error: null });
	const [turn, setTurn] = useState(0);
	useEffect(() => {
		let over = false;
		load().then(
			(value) => over || setState({ value, error: null }),
			(error) => over || setState((before) => ({ ...before, error })),
		);
		return () => {
			over = true;
		};
	}, [...when, turn]);
	return { ...state, reload: () => setTurn((t) => t + 1) };
}

// ---- dialogs ----

export function Dialog({ title, onClose, children }) {
	const dialog = useRef();
	useLayoutEffect(() => {
		const element = dialog.current;
		element.showModal();
		return () => element.close(); // which also gives the focus back
	}, []);
	useEffect(() => {
		window.addEventListener("hashchange", onClose);
		return () => window.removeEventListener("hashchange", onClose);
	}, [onClose]);
	const cancel = (event) => {
		event.preventDefault();
		onClose();
	};
	return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onCancel=${cancel}>
		<h2 id="dialog-title">${title}</h2>
		${children}
	</dialog>`;
}

// Asks before something that cannot be taken back; `act` throws what is shown.
export function Confirm({ title, act, verb, onClose, danger = true, children }) {
	const [run, busy, error] = useAction();
	const submit = async (event) => {
		event.preventDefault();
		const done = await run(async () => {
			await act();
			return true;
		});
		if (done)
			onClose();
	};
	return html`<${Dialog} title=${title} onClose=${onClose}>
		<form onSubmit=${submit}>
			${children}
			<${Problem} error=${error} />
			<div class="buttons">
				<button type="submit" class=${danger ? "danger" : "primary"} disabled=${busy}>${verb}</button>
				<button type="button" onClick=${onClose}>Cancel</button>
			</div>
		</form>
	</${Dialog}>`;
}

// ---- secrets ----

async function copyFrom(input) {
	try {
		await navigator.clipboard.writeText(input.value);
	} catch {
		// Without TLS a browser gives no clipboard; what is selected can be copied by its own command.
		input.select();
		document.execCommand("copy");
	}
}

function Copyable({ label, value }) {
	const input = useRef();
	const [copied, setCopied] = useState(false);
	const copy = async () => {
		await copyFrom(input.current);
		setCopied(true);
	};
	return html`<label class="copyable"><span>${label}</span>
		<span class="row"><input ref=${input} class="mono" readonly value=${value} spellcheck=${false} autocomplete="off" />
		<button type="button" onClick=${copy}>${copied ? "Copied" : "Copy"}</button></span>
	</label>`;
}

// What is shown once: `created` is the API's answer, of which nothing stays when this closes.
export function SecretShown({ created, onClose }) {
	return html`<${Dialog} title="The secret, this once" onClose=${onClose}>
		<p>The leader keeps only its hash: copy it now.</p>
		<${Copyable} label="Client id" value=${created.clientId} />
		<${Copyable} label="Client secret" value=${created.clientSecret} />
		${created.apiKey && html`<${Copyable} label="Or, as the owner's password" value=${created.apiKey} />`}
		<div class="buttons"><button class="primary" onClick=${onClose}>I have it</button></div>
	</${Dialog}>`;
}

// ---- tables ----

export const Scroll = ({ label, children }) => html`<div class="scroll" role="region" aria-label=${label} tabindex="0">${children}</div>`;

export function Pager({ from, count, total, onBack, onNext }) {
	if (!onBack && !onNext)
		return total === undefined ? null : html`<p class="pager"><span>${total.toLocaleString("en")} in all</span></p>`;
	return html`<nav class="pager" aria-label="Pages">
		<button onClick=${onBack} disabled=${!onBack}>Back</button>
		<button onClick=${onNext} disabled=${!onNext}>Next</button>
		<span>${count ? `${from + 1} to ${from + count}` : "none"}${total === undefined ? "" : ` of ${total.toLocaleString("en")}`}</span>
	</nav>`;
}

// ---- figures ----

// `limit`: what is full is trouble.
export const Bar = ({ share, label, limit }) => html`<span class="bar ${limit && share >= 1 ? "full" : limit && share >= 0.9 ? "near" : ""}" role="img" aria-label=${label}>
	<span style=${{ width: `${Math.min(100, Math.max(0, 100 * share))}%` }}></span></span>`;

export const Spark = ({ values = [] }) => {
	const known = values.filter((value) => value !== null && value !== undefined);
	const most = Math.max(...known, 1e-9);
	const step = 80 / Math.max(1, values.length - 1);
	const points = values.map((value, i) => `${(i * step).toFixed(1)},${(19 - (18 * (value || 0)) / most).toFixed(1)}`).join(" ");
	return html`<svg class="spark" viewBox="0 0 80 20" aria-hidden="true"><polyline points=${points} /></svg>`;
};

export const State = ({ state }) => html`<span class="state ${state}">${state}</span>`;
