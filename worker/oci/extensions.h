/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extensions - what this worker serves beside the distribution-spec, below /v2/_zot/ext/ as zot names it, and which of it is on.
 *
 * GET /v2/_oci/ext/discover lists what is on; what is off has no path. To add one: its row in extensions.c, its member here if it has a
 * setting of its own, its page in worker/front/pages.c.
 *
 * Life    filled in before the first request, and then the same to the end.
 * Thread  any.
 * Source  zot: pkg/extensions/_zot.md, pkg/extensions/extension_mgmt.go
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/str.h"

#define EXTENSION_PATH(name) "/v2/_zot/ext/" name

struct extensions {
	bool search;    /* extensions.search.enable */
	bool userprefs; /* worker/front/prefs_page.c */
	bool cosign, notation; /* extensions.trust; worker/front/trust_page.c */
	bool passwords; /* there is a way to log in by one: htpasswd, or the leaders' users */
	bool apikeys;   /* users make API keys for themselves */
};

struct extension {
	const char *path;
	bool (*is_on)(const struct extensions *extensions);
};
/* NULL: nothing of this path is an extension. */
const struct extension *extension_find(struct str path);
/* Of a path that is one. extensions NULL: none is on. */
bool extension_is_off(const struct extensions *extensions, struct str path);
/* Those that are on, in zot's order. */
const struct extension *extension_next(const struct extensions *extensions, size_t *at);
