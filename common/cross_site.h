/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross_site - is this change asked for by a page of somebody else's, out of a user's browser?
 *
 * A browser adds the Basic credentials that it remembers to whatever a page sends, and a form or a text/plain body needs
 * nobody's leave. Two headers tell whose page it was; a browser sets them itself, no page can, and programs send neither:
 *
 *   Sec-Fetch-Site  "same-origin" and "none" (typed in) may go on, "same-site" and "cross-site" may not
 *   Origin          where the first is missing: must name the host that was asked, with its port. "null" does not
 *
 * Methods that change nothing may always be used. No answer allows another origin anything (CORS), so what a page
 * needs leave for is never sent.
 *
 * Thread  any; pure.
 */
#pragma once

#include "common/error.h"
#include "common/http.h"

struct cross_site {
	const char *fetch_site, *origin, *host; /* headers of the request, NULL when absent */
};
/* ERROR_DENIED says what was refused. */
bool cross_site_check(enum http_method method, const struct cross_site *from, struct error *err) MUST_CHECK;
