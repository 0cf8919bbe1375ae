// SPDX-License-Identifier: Apache-2.0
// html - the one place that knows which library draws: preact, written with htm's templates.
import { h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { render };
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
export const html = htm.bind(h);
