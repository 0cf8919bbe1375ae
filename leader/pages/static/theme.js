// SPDX-License-Identifier: Apache-2.0
// theme - dark or light, before anything is drawn: what was chosen here last, else what the system says.
"use strict";
{
	const kept = localStorage.getItem("zot.theme");
	if (kept === "dark" || kept === "light")
		document.documentElement.dataset.theme = kept;
}
