/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain - zot-worker access: may somebody do that, by a settings file, and which policy says so.
 *
 *     zot-worker access --user ann --repository team/app --action create config.json
 *
 *     allowed: a rule of the policy that decides allows it
 *     reason:  rule
 *     policy:  "team/{app,web}", rule 0
 *     matches: "team/{app,web}" decides
 *     matches: "**"
 *
 * It is decided by what serving asks (proto/access.h, over a snapshot of these settings). Where leaders have the users and policies,
 * they decide: GET /api/access there.
 *
 * Status: 0 allowed, 1 refused, 2 wrong use, settings that are wrong among it.
 * Thread  main.
 */
#pragma once

#include "worker/settings.h"

struct explain_question {
	const char *user;       /* NULL: nobody is logged in */
	const char *groups;     /* comma separated, beside those of the settings; or NULL */
	const char *key;        /* id of an API key, or NULL */
	const char *repository, *action;
};
int explain_run(const struct worker_settings *settings, const struct explain_question *question);
