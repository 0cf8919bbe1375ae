/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_rig - the ledger of a test: of SQLite in a folder, or of a Redis under a prefix of its own.
 *
 *     cmocka_unit_test_setup_teardown(test, rig_sqlite, rig_teardown)
 *     cmocka_unit_test_setup_teardown(test, rig_redis, rig_teardown), in a group with rig_start_server, rig_stop_server
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/check.h"
#include "leader/ledger.h"
#include "tests/unit/leader/redis_server.h"

struct rig {
	char folder[64], prefix[32];
	struct ledger *ledger;
	bool redis;
};

static struct redis_server rig_server;

/* Each time another leader. */
static inline bool rig_open(struct rig *rig, struct error *err)
{
	static unsigned leaders;
	char leader[32];
	const struct ledger_redis_settings settings = {
		.url = rig_server.url, .prefix = rig->prefix, .leader = leader, .join_ms = 10
	};

	if (!rig->redis)
		return ledger_open_sqlite(&rig->ledger, rig->folder, err);
	(void)snprintf(leader, sizeof(leader), "leader-%u", leaders++);
	return ledger_open_redis(&rig->ledger, &settings, err);
}

static inline int rig_setup(void **state, bool redis)
{
	static unsigned rigs;
	struct rig *rig = xnew(struct rig);
	struct error err;

	rig->redis = redis;
	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-ledger-XXXXXX");
	(void)snprintf(rig->prefix, sizeof(rig->prefix), "zot-%u", rigs++);
	assert_non_null(mkdtemp(rig->folder));
	if (!rig_open(rig, &err))
		fail_msg("%s", err.text);
	*state = rig;
	return 0;
}

static inline int rig_sqlite(void **state) { return rig_setup(state, false); }
static inline int rig_redis(void **state) { return rig_setup(state, true); }

static inline int rig_teardown(void **state)
{
	struct rig *rig = *state;

	ledger_close(rig->ledger);
	assert_true(remove_tree(rig->folder));
	free(rig);
	return 0;
}

static inline void rig_reopen(struct rig *rig)
{
	struct error err;

	ledger_close(rig->ledger);
	rig->ledger = NULL;
	assert_true(rig_open(rig, &err));
}

static inline int rig_start_server(void **state)
{
	(void)state;
	redis_server_new(&rig_server, "no");
	return 0;
}

static inline int rig_stop_server(void **state)
{
	(void)state;
	redis_server_fini(&rig_server);
	return 0;
}
