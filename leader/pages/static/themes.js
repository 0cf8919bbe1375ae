// SPDX-License-Identifier: Apache-2.0
// themes - dark, light, or as the system says.
import { makeStore } from "./store.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = () => document.documentElement.dataset.theme || (system.matches ? "dark" : "light");

export const theme = makeStore(chosen());

system.addEventListener("change", () => theme.set(chosen()));

export function switchTheme() {
	const next = chosen() === "dark" ? "light" : "dark";
	localStorage.setItem("zot.theme", next);
	document.documentElement.dataset.theme = next;
	theme.set(next);
}
