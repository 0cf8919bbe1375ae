/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chore_view - a chore of a worker as administrators see it, the same at the leader and at the worker.
 *
 *     {"name":"gc","state":"running","canDryRun":true,"order":123,
 *      "run": {"what":"repositories","done":3,"about":10,"at":"team/app","removed":5,"bytes":4096,"began":"2026-11-23T03:00:00.000Z"},
 *      "last":{"how":"done","what":"repositories","done":10,"removed":7,"bytes":8192,"ended":"2026-11-23T02:00:00.000Z","ms":1500}}
 *
 * What is 0, false or empty is left out, but done. run: while it works; last: of the last run that did more than look whether it is time.
 * Thread  any; pure.
 */
#pragma once

#include "common/json.h"
#include "proto/usage.h"

void chore_view_write(const struct usage_chore *chore, struct json_writer *writer);

/* What an administrator asks for: {"chore":"gc","action":"start","dryRun":true}, or "stop"; dryRun may be left out. */
#define CHORE_ORDER_BODY_MAX 1024
struct chore_view_order {
	char chore[64]; /* as it came: there need not be such a chore */
	bool stop, dry_run;
};
bool chore_view_order_parse(struct str body, struct chore_view_order *ret, struct error *err) MUST_CHECK;
