/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/copy.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/command.h"
#include "leader/ledger.h"
#include "leader/settings.h"
#include "leader/store.h"

/* NULL: it is none. */
static const char *folder_of(const char *end)
{
	struct str rest = str_of(end);

	return str_skip(&rest, "sqlite:") && rest.len ? rest.at : NULL;
}

static bool move(const struct leader_settings *settings, const struct copy_ends *ends,
	struct ledger_moved *ret, struct error *err)
{
	const char *from = folder_of(ends->from), *to = folder_of(ends->to);
	char leader[STORE_LEADER_SIZE];
	struct ledger_redis_settings redis = store_redis(settings, from ? ends->to : ends->from, leader);

	if (!from == !to)
		return error_set(err, ERROR_INVALID, NULL, "one end is sqlite:FOLDER, the other one a Redis");
	return from ? ledger_move_to_redis(from, &redis, ends->replace, ret, err)
		    : ledger_move_from_redis(&redis, to, ends->replace, ret, err);
}

int copy_run(const struct leader_settings *settings, const struct copy_ends *ends)
{
	AUTO_FINI(buf) text = buf_limit(1024);
	struct ledger_moved moved;
	struct error err;

	if (!ends->from || !ends->to) {
		buf_puts(&text, "copy: name both, --from and --to");
		command_say("zot-leader: error", &text);
		return 2;
	}
	if (!move(settings, ends, &moved, &err)) {
		buf_format(&text, "copy: %s", err.text);
		command_say("zot-leader: error", &text);
		return 1;
	}
	(void)printf("Copied and compared: %" PRIu64 " rows, revision %" PRIu64
		     " of cluster %s, generation %" PRIu64 ".\n",
		moved.rows, moved.loaded.revision, moved.loaded.history.cluster,
		moved.loaded.history.generation);
	if (*moved.aside)
		(void)printf("What was there is %s.\n", moved.aside);
	return 0;
}
